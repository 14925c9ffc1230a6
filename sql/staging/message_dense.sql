-- grain: one row per message whose message_key has a bounce or more than one delivered
-- event; kept by sql/refresh. All other messages are their one row of delivered
create table if not exists message_dense (
    message_key uuid,
    recipient varchar,
    campaign_id varchar,
    sender varchar,
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
