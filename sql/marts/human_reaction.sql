-- grain: campaign × kind (open, click): quantiles of the hours from a message's
-- delivery to its first open or click by a person, and how many messages had one;
-- is_small = too few
create or replace view human_reaction as
with reaction as (
    select
        campaign_id,
        'open' as kind,
        delivered_at,
        first_human_opened_at as reacted_at,
    from message_reaction
    where first_human_opened_at is not null and accepted
    union all
    select
        campaign_id,
        'click' as kind,
        delivered_at,
        first_human_clicked_at as reacted_at,
    from first_human_click
),

spread as (
    select
        campaign_id,
        kind,
        count(*) as reacted,
        quantile_cont(
            greatest(hours_between(delivered_at, reacted_at), 1.0 / 3600),
            [0.1, 0.25, 0.5, 0.75, 0.9]
        ) as hours,
    from reaction
    where campaign_id is not null
    group by campaign_id, kind
)

select
    spread.campaign_id,
    campaign_order.campaign_name,
    spread.kind,
    campaign_order.recency,
    spread.reacted,
    spread.hours[1] as p10_hours,
    spread.hours[2] as p25_hours,
    spread.hours[3] as p50_hours,
    spread.hours[4] as p75_hours,
    spread.hours[5] as p90_hours,
    spread.reacted < threshold('small_reacted') as is_small,
    campaign_order.sent_date,
from spread
inner join campaign_order on spread.campaign_id = campaign_order.campaign_id;
