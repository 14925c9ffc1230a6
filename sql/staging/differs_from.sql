-- whether a rate differs from an expected one: that lies outside its 95 % Wilson
-- interval, and counts suffice (seen_enough); NULL without trials
create or replace macro differs_from(successes, trials, expected_rate) as (
    seen_enough(successes, trials, expected_rate)
    and expected_rate not between wilson_lo(successes, trials)
    and wilson_hi(successes, trials)
);
