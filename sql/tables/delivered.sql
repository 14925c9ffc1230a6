-- grain: one row per delivered event: the receiving server accepted the message
create table if not exists delivered (
    message_key uuid,
    message_id varchar,
    recipient varchar,
    sender varchar,
    campaign_id varchar,
    campaign_name varchar,
    webhook varchar,
    occurred_at timestamp,
    received_at timestamp,
    extra json
);
