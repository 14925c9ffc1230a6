-- grain: campaign (NULL: messages of none) × kind of reaction: open, click,
-- unsubscribe, complaint, bounce (async)
-- reacted = delivered messages that did so; p10 … p95_hours = quantiles of the hours
-- from each message's delivery to its first reaction (its latest async bounce); a
-- reaction logged before the delivery counts with negative hours
create or replace view reaction_report as
with reaction as (
    select
        campaign_id,
        delivered_at,
        unnest(['open', 'click', 'unsubscribe', 'complaint']) as kind,
        unnest([first_opened_at, first_clicked_at, unsubscribed_at, complained_at])
            as reacted_at,
    from message_reaction
    union all by name
    select campaign_id, delivered_at, 'bounce' as kind, async_bounced_at as reacted_at
    from message_base
),

spread as (
    select
        campaign_id,
        kind,
        count(*) as reacted,
        quantile_cont(
            hours_between(delivered_at, reacted_at), [0.1, 0.25, 0.5, 0.75, 0.9, 0.95]
        ) as hours,
    from reaction
    where delivered_at is not null and reacted_at is not null
    group by campaign_id, kind
)

select
    spread.campaign_id,
    campaign.campaign_name,
    spread.kind,
    spread.reacted,
    spread.hours[1] as p10_hours,
    spread.hours[2] as p25_hours,
    spread.hours[3] as p50_hours,
    spread.hours[4] as p75_hours,
    spread.hours[5] as p90_hours,
    spread.hours[6] as p95_hours,
from spread
left join campaign on spread.campaign_id = campaign.campaign_id;
