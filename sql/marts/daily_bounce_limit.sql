-- grain: day with a delivery or a bounce: its bounce rate with 99.8 % control limits
-- around the pooled rate (of the days whose rates are not among the highest or the
-- lowest tenth, so that no single day moves it) for its size, wider by how much days
-- that are not small differ beyond chance anyway (spread_of), as Laney's p' chart
-- (2002) is: a large sender's ordinary day is not an alarm; nor is a small sender's, of
-- which chance alone makes more (chance_lo)
-- a day on which nothing was delivered is not judged: all of its mail bounced by
-- definition; one whose later bounces may still come (is_final) is not too good
create or replace view daily_bounce_limit as
with rated as materialized (
    select
        day,
        attempted,
        delivered,
        bounced,
        rate(bounced, attempted) as bounce_rate,
        attempted < threshold('small_attempted') as is_small,
        is_final(last_delivered_at) as is_final,
    from daily_counts
    where attempted > 0
),

edge as (
    select
        quantile_disc(bounce_rate, 0.1) as low,
        quantile_disc(bounce_rate, 0.9) as high,
    from rated
    where not is_small and delivered > 0
),

ordinary as (
    select
        rate(sum(bounced), sum(attempted)) as every_rate,
        rate(
            sum(bounced) filter (not is_small and bounce_rate between low and high),
            sum(attempted) filter (not is_small and bounce_rate between low and high)
        ) as middle_rate,
    from rated
    cross join edge
    where delivered > 0
),

pooled as (
    select
        rated.*,
        if(ordinary.middle_rate > 0, ordinary.middle_rate, ordinary.every_rate)
            as pooled_rate,
    from rated
    cross join ordinary
),

spread as (
    select
        spread_of(excess_variance(bounce_rate - pooled_rate, pooled_rate, attempted))
            as spread,
    from pooled
    where not is_small
        and delivered > 0
        and attempted * pooled_rate >= threshold('least_count')
),

limited as (
    select
        pooled.*,
        spread.spread,
        limit_lo(pooled.pooled_rate, pooled.attempted, normal_z_998(), spread.spread)
            as limit_lo_998,
        limit_hi(pooled.pooled_rate, pooled.attempted, normal_z_998(), spread.spread)
            as limit_hi_998,
    from pooled
    cross join spread
)

select
    day,
    attempted,
    delivered,
    bounced,
    bounce_rate,
    pooled_rate,
    spread,
    limit_lo_998,
    limit_hi_998,
    not is_small
    and delivered > 0
    and (
        bounce_rate > limit_hi_998
        or (is_final and bounce_rate < limit_lo_998)
    ) as is_out_of_control,
    is_small,
from limited;
