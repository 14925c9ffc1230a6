-- grain: one row per subscription change
create table if not exists subscription_changed (
    message_key uuid,
    message_id varchar,
    recipient varchar,
    sender varchar,
    campaign_id varchar,
    campaign_name varchar,
    webhook varchar,
    change varchar,
    contact_list_id varchar,
    contact_list_name varchar,
    occurred_at timestamp,
    received_at timestamp,
    extra json
);
