-- grain: one row per open event
create table if not exists open (
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
