-- What each event reaches. By message id, else by campaign and recipient: event_fallback
-- holds the events whose key no message has, with the message of that campaign delivered
-- last before them, or else first (of equally old ones that with the smallest key), or none.
-- An event reaches a message of its own recipient only, and but for the fallback only
-- through its own key. So a change touches its own key, and, where its recipient has (or
-- had) an event that no message id matches, every message of that recipient.
create or replace temp table refresh_message as
select
    message_key,
    recipient,
    campaign_id,
    true as accepted,
    occurred_at as attempted_at,
    occurred_at as delivered_at,
from refresh_touched_delivered
anti join message_dense using (message_key)
union all
select
    message_key,
    recipient,
    campaign_id,
    accepted,
    attempted_at,
    delivered_at,
from message_dense
where message_key in (select message_key from refresh_key);

create or replace temp table refresh_recipient as
select recipient
from refresh_key
anti join refresh_message using (message_key, recipient)
union
select recipient
from event_fallback
where recipient in (select recipient from refresh_key);

insert into refresh_message
with others as (
    select
        message_key,
        recipient,
        campaign_id,
        accepted,
        attempted_at,
        delivered_at,
    from message_base
    where recipient in (select recipient from refresh_recipient)
)

select others.*
from others
anti join refresh_message using (message_key, recipient);

create or replace temp table refresh_reaction_key as
select
    message_key,
    recipient,
from refresh_key
union
select
    refresh_message.message_key,
    refresh_message.recipient,
from refresh_message
semi join refresh_recipient using (recipient)
union
select
    event_fallback.event_key as message_key,
    event_fallback.recipient,
from event_fallback
semi join refresh_recipient using (recipient);

-- Every message that events are to be looked for among: all, or those touched.
create or replace temp view refresh_sparse as
select
    delivered.message_key,
    recipient_key(delivered.recipient) as recipient,
    delivered.campaign_id,
    delivered.occurred_at as delivered_at,
from delivered
cross join (select 1 from refresh_plan where is_full) as gate
union all
select
    message_key,
    recipient,
    campaign_id,
    delivered_at,
from refresh_message
anti join message_dense using (message_key);

create or replace temp table refresh_touched_event as
select touched.*
from (
    select *
    from reaction_event
    where message_key in (select message_key from refresh_reaction_key)
) as touched
semi join refresh_reaction_key
    on touched.message_key = refresh_reaction_key.message_key
    and touched.recipient = refresh_reaction_key.recipient;

create or replace temp view refresh_event as
select reaction_event.*
from reaction_event
cross join (select 1 from refresh_plan where is_full) as gate
union all
select *
from refresh_touched_event;

-- attempted_at is NULL where no message has the id.
create or replace temp table refresh_assigned as
select
    event.kind,
    event.message_key,
    event.recipient,
    sparse.campaign_id,
    url_key(event.url) as url_key,
    event.change is not distinct from 'unsubscribe' as is_unsubscribe,
    sparse.delivered_at is not null as accepted,
    sparse.delivered_at as attempted_at,
    sparse.delivered_at,
    event.occurred_at,
from refresh_event as event
anti join message_dense
    on event.message_key = message_dense.message_key
    and event.recipient = message_dense.recipient
left join refresh_sparse as sparse
    on event.message_key = sparse.message_key
    and event.recipient = sparse.recipient
union all
select
    event.kind,
    event.message_key,
    event.recipient,
    message_dense.campaign_id,
    url_key(event.url) as url_key,
    event.change is not distinct from 'unsubscribe' as is_unsubscribe,
    message_dense.accepted,
    message_dense.attempted_at,
    message_dense.delivered_at,
    event.occurred_at,
from refresh_event as event
inner join message_dense
    on event.message_key = message_dense.message_key
    and event.recipient = message_dense.recipient;

create or replace temp table refresh_unmatched as
select refresh_event.*
from refresh_event
semi join (
    select
        message_key,
        recipient,
    from refresh_assigned
    where attempted_at is null
) as unmatched
    on refresh_event.message_key = unmatched.message_key
    and refresh_event.recipient = unmatched.recipient;

delete from refresh_assigned
where attempted_at is null;

delete from event_fallback
where (select is_full from refresh_plan);

delete from event_fallback
where recipient in (select recipient from refresh_recipient);

create or replace temp view refresh_candidate as
select message_base.*
from message_base
cross join (select 1 from refresh_plan where is_full) as gate
union all by name
select *
from refresh_message;

create or replace temp table refresh_fallback as
with wanted as (
    select distinct
        campaign_id,
        recipient,
    from refresh_unmatched
    where campaign_id is not null
),

candidate as (
    select
        message.campaign_id,
        message.recipient,
        message.delivered_at,
        min(message.message_key) as message_key,
        arg_min(message.accepted, message.message_key) as accepted,
    from refresh_candidate as message
    semi join wanted
        on message.campaign_id = wanted.campaign_id
        and message.recipient = wanted.recipient
    where message.delivered_at is not null
    group by message.campaign_id, message.recipient, message.delivered_at
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

insert into event_fallback by name
select *
from refresh_fallback;

insert into refresh_assigned by name
select
    kind,
    message_key,
    recipient,
    campaign_id,
    url_key(url) as url_key,
    change is not distinct from 'unsubscribe' as is_unsubscribe,
    accepted,
    attempted_at,
    delivered_at,
    occurred_at,
from refresh_fallback
where matched_by = 'campaign';
