-- successes out of trials → DOUBLE in [0, 1], NULL where there were no trials
create or replace macro rate(successes, trials) as (
    successes / nullif(trials, 0)
);
