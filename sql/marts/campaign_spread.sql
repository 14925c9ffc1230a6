-- grain: measure: the ordinary rate of campaigns, and spread, by how much they differ
-- beyond chance anyway, as the standard deviation of their log-odds (Spiegelhalter's
-- additive model, 2005; spread_of), 0 where chance makes as much; both of those that
-- are final, not small, and large enough for five to be expected among those that did,
-- and that did not (least_count); pooled_rate is that of the half of them in the
-- middle, so that incidents move neither
-- with fewer than five: pooled_rate of all, spread NULL; pooled_rate of all, too, where
-- none or all of the middle half did
create or replace view campaign_spread as
with judged as materialized (
    select
        *,
        rate(
            sum(numerator) over (partition by measure),
            sum(denominator) over (partition by measure)
        ) as every_rate,
        is_final
        and not is_small
        and denominator * least(every_rate, 1 - every_rate) >= threshold('least_count')
            as is_telling,
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
        spread_of(excess_variance(
            judged.rate - pooled.pooled_rate, pooled.pooled_rate, judged.denominator
        )) as spread,
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
