-- grain: campaign × measure, where its rate can be judged (judged_rate): rate against
-- size beside the limits around their ordinary rate, as wide as chance makes them, or,
-- of five campaigns and more that tell it, as they differ anyway (spread); outside says
-- beyond which limits it lies: no, 95, 998; unsure: beyond 95 %, but not if
-- unattributed bounces of its time are its own (up to extreme_rate), or if later
-- bounces come that mail of its age may still have
create or replace view funnel_plot as
with wide as (
    select
        judged_rate.*,
        judged_rate.denominator as size,
        campaign_spread.pooled_rate,
        coalesce(campaign_spread.spread, 0.0) as spread,
        case
            when is_final then extreme_rate
            when judged_rate.measure = 'bounce' then 1.0
            else 0.0
        end as worst_rate,
        -- of what it may be, what is nearest to the ordinary
        greatest(
            least(rate, worst_rate),
            least(greatest(rate, worst_rate), pooled_rate)
        ) as nearest_rate,
    from judged_rate
    inner join campaign_spread on judged_rate.measure = campaign_spread.measure
),

limited as (
    select
        *,
        limit_lo(pooled_rate, size, normal_z_998(), spread) as limit_lo_998,
        limit_hi(pooled_rate, size, normal_z_998(), spread) as limit_hi_998,
        limit_lo(pooled_rate, size, normal_z(), spread) as limit_lo_95,
        limit_hi(pooled_rate, size, normal_z(), spread) as limit_hi_95,
    from wide
)

select
    limited.campaign_id,
    limited.campaign_name,
    limited.measure,
    case
        when limited.nearest_rate
            not between limited.limit_lo_998 and limited.limit_hi_998
            then '998'
        when limited.nearest_rate
            not between limited.limit_lo_95 and limited.limit_hi_95
            then '95'
        when limited.rate not between limited.limit_lo_95 and limited.limit_hi_95
            then 'unsure'
        else 'no'
    end as outside,
    limited.size,
    limited.rate,
    limited.rate_lo,
    limited.rate_hi,
    limited.extreme_rate,
    limited.pooled_rate,
    limited.spread,
    limited.is_small,
    campaign.urls,
    cast(report_time(limited.first_delivered_at) as date) as sent_date,
from limited
left join campaign on limited.campaign_id = campaign.campaign_id;
