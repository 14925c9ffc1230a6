-- What each event reaches. By message id: refresh_reached holds the messages that have
-- events of their own. Else by campaign and recipient: event_fallback holds the events
-- whose key no message has, with the message of that campaign delivered last before them,
-- or else first (of equally old ones that with the smallest key), or none.
create or replace temp table refresh_event_key as
select distinct
    message_key,
    recipient,
from refresh_event;

create or replace temp table refresh_reached as
with message as (
    select message_base.*
    from message_base
    cross join (select 1 from refresh_plan where is_full) as gate
    union all
    select message_base.*
    from message_base
    where message_key in (select message_key from refresh_key)
)

select
    message.message_key,
    message.recipient,
    message.campaign_id,
    message.accepted,
    message.attempted_at,
    message.delivered_at,
from message
inner join refresh_event_key
    on message.message_key = refresh_event_key.message_key
    and message.recipient = refresh_event_key.recipient;

create or replace temp table refresh_unmatched as
select refresh_event.*
from refresh_event
anti join refresh_reached using (message_key, recipient);

delete from event_fallback
where (select is_full from refresh_plan);

delete from event_fallback
using refresh_key
where event_fallback.event_key = refresh_key.message_key
    and event_fallback.recipient = refresh_key.recipient;

insert into event_fallback by name
with wanted as (
    select distinct
        campaign_id,
        recipient,
    from refresh_unmatched
    where campaign_id is not null
),

candidate as (
    select
        message_base.campaign_id,
        message_base.recipient,
        message_base.delivered_at,
        min(message_base.message_key) as message_key,
        arg_min(message_base.accepted, message_base.message_key) as accepted,
    from message_base
    inner join wanted
        on message_base.campaign_id = wanted.campaign_id
        and message_base.recipient = wanted.recipient
    where message_base.delivered_at is not null
    group by
        message_base.campaign_id,
        message_base.recipient,
        message_base.delivered_at
),

earliest as (
    select
        campaign_id,
        recipient,
        arg_min(message_key, delivered_at) as message_key,
        arg_min(accepted, delivered_at) as accepted,
        min(delivered_at) as delivered_at,
    from candidate
    group by campaign_id, recipient
)

select
    unmatched.* exclude (message_key, campaign_id),
    unmatched.message_key as event_key,
    unmatched.campaign_id as named_campaign_id,
    coalesce(candidate.message_key, earliest.message_key) as message_key,
    if(earliest.message_key is null, null, unmatched.campaign_id) as campaign_id,
    if(earliest.message_key is null, 'none', 'campaign') as matched_by,
    coalesce(candidate.accepted, earliest.accepted) as accepted,
    coalesce(candidate.delivered_at, earliest.delivered_at) as attempted_at,
    coalesce(candidate.delivered_at, earliest.delivered_at) as delivered_at,
from refresh_unmatched as unmatched
asof left join candidate
    on unmatched.campaign_id = candidate.campaign_id
    and unmatched.recipient = candidate.recipient
    and unmatched.occurred_at >= candidate.delivered_at
left join earliest
    on unmatched.campaign_id = earliest.campaign_id
    and unmatched.recipient = earliest.recipient;

create or replace temp view refresh_assigned as
select
    refresh_event.kind,
    refresh_event.message_key as event_key,
    refresh_event.message_key,
    refresh_event.recipient,
    refresh_event.campaign_id as named_campaign_id,
    refresh_reached.campaign_id,
    'message_id' as matched_by,
    refresh_event.sender,
    refresh_event.url,
    refresh_event.change,
    refresh_reached.accepted,
    refresh_reached.attempted_at,
    refresh_reached.delivered_at,
    refresh_event.occurred_at,
    refresh_event.received_at,
from refresh_event
inner join refresh_reached
    on refresh_event.message_key = refresh_reached.message_key
    and refresh_event.recipient = refresh_reached.recipient
union all by name
select event_fallback.*
from event_fallback
cross join (select 1 from refresh_plan where is_full) as gate
where event_fallback.matched_by <> 'none'
union all by name
select event_fallback.*
from event_fallback
semi join refresh_key
    on event_fallback.event_key = refresh_key.message_key
    and event_fallback.recipient = refresh_key.recipient
where event_fallback.matched_by <> 'none';
