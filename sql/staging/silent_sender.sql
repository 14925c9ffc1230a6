-- grain: sender domain (NULL: none given) with mail enough (async_volume), old enough
-- (is_final), to have had an async bounce, and never one
create or replace view silent_sender as
with by_sender as (
    select
        sender,
        count(*) as delivered_events,
    from delivered
    where is_final(occurred_at)
    group by sender
),

by_domain as (
    select
        address_domain(sender) as sender_domain,
        cast(sum(delivered_events) as bigint) as delivered_events,
    from by_sender
    group by sender_domain
    having sum(delivered_events) >= threshold('async_volume')
)

select
    sender_domain,
    delivered_events,
from by_domain
where not exists (
    select 1
    from async_sender
    where async_sender.sender_domain is not distinct from by_domain.sender_domain
);
