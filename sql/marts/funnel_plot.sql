-- grain: campaign × measure, where its rate is final (campaign_spread): rate against
-- size beside the limits around the pooled rate of all such campaigns, as wide as
-- chance makes them, or, of ten campaigns and more that are not small, as they differ
-- anyway (spread); outside says beyond which limits it lies (no, 95, 998)
create or replace view funnel_plot as
with wide as (
    select
        final_rate.*,
        final_rate.denominator as size,
        campaign_spread.pooled_rate,
        coalesce(campaign_spread.spread, 1.0) as spread,
    from final_rate
    inner join campaign_spread on final_rate.measure = campaign_spread.measure
)

select
    wide.campaign_id,
    wide.campaign_name,
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
    wide.is_small,
    campaign_link_count.urls,
    cast(report_time(wide.first_delivered_at) as date) as sent_date,
from wide
left join campaign_link_count on wide.campaign_id = campaign_link_count.campaign_id;
