-- grain: one row per message, (message_key, recipient in lower case) with a delivered
-- or a bounce event, without its reactions
create or replace view message_base as
select
    delivered.message_key,
    recipient_key(delivered.recipient) as recipient,
    delivered.campaign_id,
    delivered.sender,
    null as sync_type,
    null as bounce_class,
    null as bounce_category,
    null as meant_category,
    null as bounce_type,
    null as dsn_code,
    null as dsn_status,
    true as accepted,
    delivered.occurred_at as attempted_at,
    delivered.occurred_at as delivered_at,
    null as bounced_at,
    null as sync_bounced_at,
    null as async_bounced_at,
from delivered
anti join message_dense using (message_key)
union all
select
    message_key,
    recipient,
    campaign_id,
    sender,
    sync_type,
    bounce_class,
    bounce_category,
    meant_category,
    bounce_type,
    dsn_code,
    dsn_status,
    accepted,
    attempted_at,
    delivered_at,
    bounced_at,
    sync_bounced_at,
    async_bounced_at,
from message_dense;
