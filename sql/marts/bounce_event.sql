-- grain: one row per bounce event, with our class of it and the campaign of its message
-- (campaign_id NULL: unattributed; named_campaign_id is what the bounce itself says)
create or replace view bounce_event as
select
    bounce.message_key,
    message_dense.recipient,
    message_dense.campaign_id,
    bounce.campaign_id as named_campaign_id,
    address_domain(bounce.sender) as sender_domain,
    if(is_async(bounce.sync_type, message_dense.delivered_at), 'async', 'sync')
        as sync_type,
    bounce_meaning.bounce_class,
    bounce.bounce_category,
    bounce_meaning.meant_category,
    bounce.bounce_type,
    bounce.dsn_code,
    bounce.dsn_status,
    message_dense.delivered_at,
    bounce.occurred_at,
    bounce.received_at,
from bounce
inner join message_dense
    on bounce.message_key = message_dense.message_key
    and recipient_key(bounce.recipient) = message_dense.recipient
left join bounce_meaning
    on word_key(bounce.bounce_category) is not distinct from bounce_meaning.category
    and bounce.dsn_code is not distinct from bounce_meaning.dsn_code;
