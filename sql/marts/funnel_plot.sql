-- grain: campaign × measure: rate against size beside the limits around the pooled rate of
-- all campaigns; outside says beyond which of them it lies (no, 95, 998)
create or replace view funnel_plot as
with pooled as (
    select
        campaign_id,
        measure,
        denominator as size,
        rate,
        rate_lo,
        rate_hi,
        rate(sum(numerator) over all_of_it, sum(denominator) over all_of_it)
            as pooled_rate,
    from measured_rate
    where age_hours is null and rate is not null
    window all_of_it as (partition by measure)
)

select
    pooled.campaign_id,
    named.campaign_name,
    pooled.measure,
    case
        when pooled.rate not between
            chance_lo(pooled.pooled_rate, pooled.size, normal_z_998())
            and chance_hi(pooled.pooled_rate, pooled.size, normal_z_998())
            then '998'
        when pooled.rate not between
            chance_lo(pooled.pooled_rate, pooled.size, normal_z())
            and chance_hi(pooled.pooled_rate, pooled.size, normal_z())
            then '95'
        else 'no'
    end as outside,
    pooled.size,
    pooled.rate,
    pooled.rate_lo,
    pooled.rate_hi,
    pooled.pooled_rate,
    cast(report_time(named.first_delivered_at) as date) as sent_date,
from pooled
left join campaign_counts as named on pooled.campaign_id = named.campaign_id;
