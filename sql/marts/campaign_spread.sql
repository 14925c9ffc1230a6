-- grain: measure: the ordinary rate of campaigns, and spread, how many times as far
-- from it as chance makes them they lie anyway: median of their distances in standard
-- errors / 0.6745 (of a normal distribution: its standard deviation), at least 1; both
-- of those that are final and not small; pooled_rate is that of the half of them in the
-- middle, so that incidents move neither
-- with fewer than ten: pooled_rate of all, spread NULL; pooled_rate of all, too, where
-- none or all of the middle half did
create or replace view campaign_spread as
with judged as materialized (
    select
        *,
        is_final and not is_small as is_telling,
    from judged_rate
),

middle as (
    select
        measure,
        quantile_disc(rate, 0.25) as low,
        quantile_disc(rate, 0.75) as high,
    from judged
    where is_telling
    group by measure
    having count(*) >= threshold('least_campaigns')
),

pooled as (
    select
        judged.measure,
        any_value(middle.low) as low,
        rate(
            sum(numerator) filter (is_telling and rate between low and high),
            sum(denominator) filter (is_telling and rate between low and high)
        ) as middle_rate,
        if(
            middle_rate > 0 and middle_rate < 1,
            middle_rate,
            rate(sum(numerator), sum(denominator))
        ) as pooled_rate,
    from judged
    left join middle on judged.measure = middle.measure
    group by judged.measure
),

spread as (
    select
        judged.measure,
        greatest(1.0, median(
            abs(standard_score(judged.rate, pooled.pooled_rate, judged.denominator))
        ) / 0.6745) as spread,
    from judged
    inner join pooled on judged.measure = pooled.measure
    where judged.is_telling and pooled.low is not null
    group by judged.measure
)

select
    pooled.measure,
    pooled.pooled_rate,
    spread.spread,
from pooled
left join spread on pooled.measure = spread.measure;
