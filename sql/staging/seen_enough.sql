-- whether counts suffice to tell a rate from an expected one: messages that did, and
-- that did not, least_count each, seen or expected (Cochran 1954); NULL without trials
create or replace macro seen_enough(successes, trials, expected_rate) as (
    greatest(successes, trials * expected_rate) >= threshold('least_count')
    and greatest(trials - successes, trials * (1 - expected_rate))
    >= threshold('least_count')
);
