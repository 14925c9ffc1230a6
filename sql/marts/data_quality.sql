-- grain: day, in the report zone, of the event × sender domain (NULL: no sender given)
-- match_rate = opens and clicks whose message id and recipient a delivered or bounce
-- event has / opens and clicks; orphans reached no message; unattributed_bounces =
-- bounce events of messages without campaign; late = received over late_hours after it
-- occurred; ahead = over ahead_hours in the future by this machine's clock;
-- duplicates were counted, not stored; async_bounce_seen = ever, for this sender domain
create or replace view data_quality as
with volume as (
    select
        sender_domain,
        quarter_hour,
        cast(sum(events) as bigint) as events,
        cast(sum(events) filter (kind = 'delivered') as bigint) as delivered_events,
        cast(sum(events) filter (kind = 'bounce') as bigint) as bounce_events,
        cast(sum(events) filter (kind in ('open', 'click')) as bigint) as opens_clicks,
        cast(sum(late_events) as bigint) as late_events,
        cast(
            sum(events)
                filter (quarter_hour > report_now() + threshold_time('ahead_hours'))
            as bigint
        ) as ahead_events,
    from event_volume
    group by sender_domain, quarter_hour
),

fallback as (
    select
        address_domain(sender) as sender_domain,
        time_bucket(interval 15 minutes, occurred_at) as quarter_hour,
        count(*) filter (kind in ('open', 'click')) as unmatched_by_message_id,
        count(*) filter (kind in ('open', 'click') and matched_by = 'campaign')
            as matched_by_campaign,
        count(*) filter (matched_by = 'none') as orphans,
    from event_fallback
    group by sender_domain, quarter_hour
),

bounced as (
    select
        sender_domain,
        time_bucket(interval 15 minutes, occurred_at) as quarter_hour,
        count(*) filter (campaign_id is null) as unattributed_bounces,
    from bounce_event
    group by sender_domain, quarter_hour
),

part as (
    select *
    from volume
    union all by name
    select *
    from fallback
    union all by name
    select *
    from bounced
    union all by name
    select
        sender_domain,
        quarter_hour,
        events as unknown_words,
    from unknown_word_use
    union all by name
    select
        sender_domain,
        occurred_at as quarter_hour,
        duplicates,
    from duplicate_tally
),

by_day as (
    select
        cast(report_time(quarter_hour) as date) as day,
        sender_domain,
        cast(coalesce(sum(events), 0) as bigint) as events,
        cast(coalesce(sum(delivered_events), 0) as bigint) as delivered_events,
        cast(coalesce(sum(bounce_events), 0) as bigint) as bounce_events,
        cast(coalesce(sum(duplicates), 0) as bigint) as duplicates,
        cast(coalesce(sum(opens_clicks), 0) as bigint) as opens_clicks,
        cast(
            coalesce(sum(opens_clicks), 0) - coalesce(sum(unmatched_by_message_id), 0)
            as bigint
        ) as matched_by_message_id,
        cast(coalesce(sum(matched_by_campaign), 0) as bigint) as matched_by_campaign,
        cast(coalesce(sum(orphans), 0) as bigint) as orphans,
        cast(coalesce(sum(unattributed_bounces), 0) as bigint) as unattributed_bounces,
        cast(coalesce(sum(unknown_words), 0) as bigint) as unknown_words,
        cast(coalesce(sum(late_events), 0) as bigint) as late_events,
        cast(coalesce(sum(ahead_events), 0) as bigint) as ahead_events,
    from part
    group by day, sender_domain
)

select
    by_day.*,
    rate(by_day.matched_by_message_id, by_day.opens_clicks) as match_rate,
    wilson_lo(by_day.matched_by_message_id, by_day.opens_clicks) as match_rate_lo,
    wilson_hi(by_day.matched_by_message_id, by_day.opens_clicks) as match_rate_hi,
    exists (
        select 1
        from async_sender
        where async_sender.sender_domain is not distinct from by_day.sender_domain
    ) as async_bounce_seen,
from by_day;
