-- lower end of the 95 % Wilson score interval (Wilson 1927) of successes / trials; NULL
-- where there were no trials, never above the rate or below 0
-- with z = normal_z() the numbers are z² / 2, z² and z⁴ / 4: written out, for reports
-- hold dozens of intervals; each first meets a DOUBLE, so that no count is too large
create or replace macro wilson_lo(successes, trials) as (
    case when trials > 0 and successes is not null then greatest(0.0, least(
        successes / trials,
        (
            1.9207294103470627 - sqrt(
                successes / trials * (trials - successes) * 3.8414588206941254
                + 3.689201467772175
            ) + successes
        ) / trials / (1 + 3.8414588206941254 / trials)
    )) end
);
