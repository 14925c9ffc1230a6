-- grain: one row per click event
create table if not exists click (
    message_key uuid,
    message_id varchar,
    recipient varchar,
    sender varchar,
    campaign_id varchar,
    campaign_name varchar,
    webhook varchar,
    url varchar,
    occurred_at timestamp,
    received_at timestamp,
    extra json
);
