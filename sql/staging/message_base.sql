-- grain: one row per message, (message_key, recipient in lower case) with a delivered or a
-- bounce event, without its reactions; kept by sql/refresh, singly delivered messages in
-- the order of their arrival
create table if not exists message_base (
    message_key uuid,
    recipient varchar,
    campaign_id varchar,
    recipient_domain varchar,
    provider varchar,
    sender_domain varchar,
    sync_type varchar,
    bounce_class varchar,
    bounce_category varchar,
    meant_category varchar,
    bounce_type varchar,
    dsn_code varchar,
    dsn_status varchar,
    accepted boolean,
    attempted_at timestamp,
    delivered_at timestamp,
    bounced_at timestamp,
    sync_bounced_at timestamp,
    async_bounced_at timestamp
);
