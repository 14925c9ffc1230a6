-- lower end of Newcombe's 95 % hybrid score interval (Newcombe 1998, method 10) of the
-- difference rate one − rate two; NULL where either had no trials
create or replace macro newcombe_lo(successes_1, trials_1, successes_2, trials_2) as (
    rate(successes_1, trials_1) - rate(successes_2, trials_2) - sqrt(
        pow(rate(successes_1, trials_1) - wilson_lo(successes_1, trials_1), 2)
        + pow(wilson_hi(successes_2, trials_2) - rate(successes_2, trials_2), 2)
    )
);
