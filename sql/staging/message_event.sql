-- grain: one row per open, click, subscription change and complaint: the message it
-- reached (matched_by message_id, campaign or none) and its machine flags but coverage
create or replace view message_event as
with burst as (
    select
        message_key,
        recipient,
        list(occurred_at) as burst_at,
    from message_click
    where is_burst
    group by message_key, recipient
),

other as (
    select
        reaction_event.message_key as event_key,
        reaction_event.message_key,
        reaction_event.recipient,
        message_reaction.campaign_id,
        reaction_event.campaign_id as named_campaign_id,
        reaction_event.kind,
        'message_id' as matched_by,
        reaction_event.sender,
        reaction_event.change,
        message_reaction.accepted,
        message_reaction.delivered_at,
        reaction_event.occurred_at,
        reaction_event.received_at,
    from reaction_event
    inner join message_reaction
        on reaction_event.message_key = message_reaction.message_key
        and reaction_event.recipient = message_reaction.recipient
    where reaction_event.kind <> 'click'
    union all by name
    select * exclude (attempted_at, url)
    from event_fallback
    where kind <> 'click' and matched_by <> 'none'
)

select
    event_key,
    message_key,
    recipient,
    campaign_id,
    named_campaign_id,
    'click' as kind,
    matched_by,
    sender,
    url,
    null as change,
    window_urls,
    accepted,
    is_burst,
    is_instant,
    false as is_echo,
    false as is_suspect,
    delivered_at,
    occurred_at,
    received_at,
from message_click
union all
select
    other.event_key,
    other.message_key,
    other.recipient,
    other.campaign_id,
    other.named_campaign_id,
    other.kind,
    other.matched_by,
    other.sender,
    null as url,
    other.change,
    null as window_urls,
    other.accepted,
    false as is_burst,
    false as is_instant,
    other.kind = 'open' and is_echo(other.occurred_at, other.delivered_at, burst.burst_at)
        as is_echo,
    other.change is not distinct from 'unsubscribe'
        and is_suspect(other.occurred_at, burst.burst_at) as is_suspect,
    other.delivered_at,
    other.occurred_at,
    other.received_at,
from other
left join burst
    on other.message_key = burst.message_key
    and other.recipient = burst.recipient
union all
select
    event_key,
    message_key,
    recipient,
    campaign_id,
    named_campaign_id,
    kind,
    matched_by,
    sender,
    url,
    change,
    null as window_urls,
    accepted,
    false as is_burst,
    false as is_instant,
    false as is_echo,
    false as is_suspect,
    delivered_at,
    occurred_at,
    received_at,
from event_fallback
where matched_by = 'none';
