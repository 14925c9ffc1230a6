-- grain: campaign × measure of measure_rates: opens, clicks, unsubscribes and
-- complaints where they no longer rise (is_final); deliveries and bounces at once, but
-- while later bounces may come (not is_final), only as the least of them
-- extreme_rate = of delivery and bounce: the rate, were the unattributed bounces of the
-- campaign's time its own
create or replace view judged_rate as
with long as (
    select
        *,
        measure in ('delivery', 'bounce') as is_of_bounces,
        is_final(last_delivered_at) as is_final,
        case measure
            when 'delivery' then rate(accepted, attempted + unattributed_nearby)
            when 'bounce'
                then rate(
                    bounced + unattributed_nearby, attempted + unattributed_nearby
                )
        end as extreme_rate,
    from measure_rates('campaign_nearby_counts', accepted)
)

select
    campaign_id,
    campaign_name,
    first_delivered_at,
    last_delivered_at,
    measure,
    numerator,
    denominator,
    rate,
    rate_lo,
    rate_hi,
    extreme_rate,
    is_final,
    is_small,
from long
where campaign_id is not null
    and rate is not null
    and (is_of_bounces or is_final);
