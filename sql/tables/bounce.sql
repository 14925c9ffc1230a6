-- grain: one row per bounce event, synchronous or asynchronous
create table if not exists bounce (
    message_key uuid,
    message_id varchar,
    recipient varchar,
    sender varchar,
    campaign_id varchar,
    campaign_name varchar,
    webhook varchar,
    sync_type varchar,
    dsn_status varchar,
    dsn_code varchar,
    bounce_category varchar,
    bounce_type varchar,
    occurred_at timestamp,
    received_at timestamp,
    extra json
);
