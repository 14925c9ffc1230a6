-- What each event reaches. By message id, else by campaign and recipient:
-- event_fallback holds the events whose key no message has, with the message of that
-- campaign delivered last before them, or else first (of equally old ones that with the
-- smallest key), or none.
-- An event reaches a message of its own recipient only, and but for the fallback only
-- through its own key. So a change touches its own key, and, where its recipient has
-- (or had) an event that no message id matches, every message of that recipient.
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

-- Every message that events are to be looked for among: all of this part, or those
-- touched.
create or replace temp view refresh_reachable as
select
    delivered.message_key,
    recipient_key(delivered.recipient) as recipient,
    delivered.campaign_id,
    true as accepted,
    delivered.occurred_at as attempted_at,
    delivered.occurred_at as delivered_at,
from delivered
cross join (select 1 from refresh_plan where is_full) as gate
anti join message_dense using (message_key)
where refresh_is_here(delivered.message_key)
union all
select
    message_dense.message_key,
    message_dense.recipient,
    message_dense.campaign_id,
    message_dense.accepted,
    message_dense.attempted_at,
    message_dense.delivered_at,
from message_dense
cross join (select 1 from refresh_plan where is_full) as gate
where refresh_is_here(message_dense.message_key)
union all
select *
from refresh_message;

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
where refresh_is_here(reaction_event.message_key)
union all
select *
from refresh_touched_event;
