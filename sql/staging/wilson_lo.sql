-- lower end of the 95 % Wilson score interval (Wilson 1927) of successes / trials; NULL
-- where there were no trials, never above the rate or below 0
create or replace macro wilson_lo(successes, trials) as (
    case when trials > 0 then greatest(0.0, least(
        rate(successes, trials),
        (
            successes + normal_z() * normal_z() / 2
            - normal_z() * sqrt(
                successes * (1 - rate(successes, trials)) + normal_z() * normal_z() / 4
            )
        ) / (trials + normal_z() * normal_z())
    )) end
);
