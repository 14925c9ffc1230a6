-- upper end of the 95 % Wilson score interval (Wilson 1927) of successes / trials; NULL
-- where there were no trials, never below the rate or above 1
create or replace macro wilson_hi(successes, trials) as (
    case when trials > 0 then least(1.0, greatest(
        rate(successes, trials),
        (
            successes + normal_z() * normal_z() / 2
            + normal_z() * sqrt(
                successes * (1 - rate(successes, trials)) + normal_z() * normal_z() / 4
            )
        ) / (trials + normal_z() * normal_z())
    )) end
);
