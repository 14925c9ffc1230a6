-- grain: one row per message, (message_key, recipient in lower case) with a delivered
-- or a bounce event, without its reactions: those of message_dense, and the others, of
-- which there is nothing but a delivery
create or replace view message_base as
select *
from message_dense
union all by name
select
    delivered.message_key,
    recipient_key(delivered.recipient) as recipient,
    delivered.campaign_id,
    delivered.sender,
    true as accepted,
    delivered.occurred_at as attempted_at,
    delivered.occurred_at as delivered_at,
from delivered
anti join message_dense using (message_key);
