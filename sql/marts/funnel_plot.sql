-- grain: campaign × measure: rate against size beside the limits around the pooled rate of
-- all campaigns, as wide as chance makes them, or, of ten campaigns and more that are not
-- small, as they differ anyway: spread = root of the mean square of their z values, winsorised
-- at 10 % (Spiegelhalter 2005), at least 1; outside says beyond which limits it lies (no, 95, 998)
create or replace view funnel_plot as
with pooled as (
    select
        campaign_id,
        measure,
        is_small,
        denominator as size,
        rate,
        rate_lo,
        rate_hi,
        rate(sum(numerator) over all_of_it, sum(denominator) over all_of_it)
            as pooled_rate,
    from measured_rate
    where age_hours is null and rate is not null
    window all_of_it as (partition by measure)
),

scored as (
    select
        measure,
        standard_score(rate, pooled_rate, size) as z,
    from pooled
    where not is_small
),

edge as (
    select
        measure,
        count(z) >= threshold('least_campaigns') as is_known,
        quantile_cont(z, 0.1) as low,
        quantile_cont(z, 0.9) as high,
    from scored
    group by measure
),

-- summed in one order, so that every run gives the same bits
spread as (
    select
        scored.measure,
        greatest(1.0, sqrt(list_avg(list(
            pow(least(edge.high, greatest(edge.low, scored.z)), 2) order by scored.z
        )))) as factor,
    from scored
    inner join edge on scored.measure = edge.measure
    where edge.is_known
    group by scored.measure
),

wide as (
    select pooled.*, coalesce(spread.factor, 1.0) as spread
    from pooled
    left join spread on pooled.measure = spread.measure
)

select
    wide.campaign_id,
    named.campaign_name,
    wide.measure,
    case
        when wide.rate not between
            limit_lo(wide.pooled_rate, wide.size, normal_z_998(), wide.spread)
            and limit_hi(wide.pooled_rate, wide.size, normal_z_998(), wide.spread)
            then '998'
        when wide.rate not between
            limit_lo(wide.pooled_rate, wide.size, normal_z(), wide.spread)
            and limit_hi(wide.pooled_rate, wide.size, normal_z(), wide.spread)
            then '95'
        else 'no'
    end as outside,
    wide.size,
    wide.rate,
    wide.rate_lo,
    wide.rate_hi,
    wide.pooled_rate,
    wide.spread,
    cast(report_time(named.first_delivered_at) as date) as sent_date,
from wide
left join campaign_counts as named on wide.campaign_id = named.campaign_id;
