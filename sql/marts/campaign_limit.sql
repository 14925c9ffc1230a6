-- grain: campaign: what to know before leaning on its numbers
-- known_hours = where no event has come for silent_hours, the hours from its last
-- delivery to the last event of all mail (known_until); gap_hours = the longest gap
-- (event_gap) from its first delivery to maturing_hours after its last
create or replace view campaign_limit as
with received as (
    select
        campaign_id,
        count(*) as opens_clicks,
    from (select campaign_id from open union all select campaign_id from click)
    group by campaign_id
),

fallback as (
    select
        named_campaign_id as campaign_id,
        count(*) filter (kind in ('open', 'click')) as unmatched_by_message_id,
        count(*) filter (matched_by = 'none') as orphans,
    from event_fallback
    group by named_campaign_id
)

select
    campaign_list.campaign_id,
    campaign_list.campaign_name,
    campaign_list.maturity,
    coalesce(fallback.orphans, 0) as orphans,
    campaign_list.accepted,
    campaign_list.unattributed_nearby,
    (
        select cast(coalesce(max(bounced_until), 0) as bigint)
        from unattributed_until
    ) as unattributed,
    campaign_list.urls,
    rate(
        received.opens_clicks - coalesce(fallback.unmatched_by_message_id, 0),
        received.opens_clicks
    ) as match_rate,
    rate(campaign_list.opened - campaign_list.opened_human, campaign_list.opened)
        as machine_open_rate,
    rate(campaign_list.clicked - campaign_list.clicked_human, campaign_list.clicked)
        as machine_click_rate,
    campaign_list.bounce_rate,
    campaign_list.bounce_rate_upper,
    campaign_list.age_hours,
    campaign_list.is_tracked,
    campaign_list.is_small,
    threshold('small_attempted') as small_attempted,
    threshold('comparable_hours') as comparable_hours,
    silent_sender.delivered_events is not null as is_silent_sender,
    if(
        known_until() < report_now(),
        hours_between(campaign_list.last_delivered_at, known_until()),
        null
    ) as known_hours,
    (
        select max(event_gap.hours)
        from event_gap
        where event_gap.silent_until > campaign_list.first_delivered_at
            and event_gap.silent_from
            < campaign_list.last_delivered_at + threshold_time('maturing_hours')
    ) as gap_hours,
from campaign_list
left join received on campaign_list.campaign_id = received.campaign_id
left join fallback on campaign_list.campaign_id = fallback.campaign_id
left join silent_sender
    on campaign_list.sender_domain is not distinct from silent_sender.sender_domain;
