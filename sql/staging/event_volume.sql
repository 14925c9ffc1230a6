-- grain: kind × sender domain × quarter hour of the event, and how many came late
create or replace view event_volume as
-- by the whole sender first: its domain is then cut out once for many events
with by_sender as (
    select
        kind,
        sender,
        time_bucket(interval 15 minutes, occurred_at) as quarter_hour,
        count(*) as events,
        count(*) filter (received_at > occurred_at + threshold_time('late_hours'))
            as late_events,
    from every_event
    group by kind, sender, quarter_hour
)

select
    kind,
    address_domain(sender) as sender_domain,
    quarter_hour,
    cast(sum(events) as bigint) as events,
    cast(sum(late_events) as bigint) as late_events,
from by_sender
group by kind, sender_domain, quarter_hour;
