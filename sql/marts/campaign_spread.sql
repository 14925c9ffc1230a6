-- grain: measure: the pooled rate of the campaigns whose rate is final (opens, clicks
-- and unsubscribes: of the comparable ones), and spread, how many times as far from it
-- as chance makes them they lie anyway: root of the mean square of the z values of
-- those that are not small, winsorised at 10 % (Spiegelhalter 2005), at least 1; NULL
-- with fewer than ten
create or replace view campaign_spread as
with final as materialized (
    select * from final_rate
),

pooled as (
    select
        measure,
        rate(sum(numerator), sum(denominator)) as pooled_rate,
    from final
    group by measure
),

scored as (
    select
        final.measure,
        standard_score(final.rate, pooled.pooled_rate, final.denominator) as z,
    from final
    inner join pooled on final.measure = pooled.measure
    where not final.is_small
),

edge as (
    select
        measure,
        quantile_cont(z, 0.1) as low,
        quantile_cont(z, 0.9) as high,
    from scored
    group by measure
    having count(z) >= threshold('least_campaigns')
),

-- summed in one order, so that every run gives the same bits
spread as (
    select
        scored.measure,
        greatest(1.0, sqrt(list_avg(list(
            pow(least(edge.high, greatest(edge.low, scored.z)), 2) order by scored.z
        )))) as spread,
    from scored
    inner join edge on scored.measure = edge.measure
    group by scored.measure
)

select
    pooled.measure,
    pooled.pooled_rate,
    spread.spread,
from pooled
left join spread on pooled.measure = spread.measure;
