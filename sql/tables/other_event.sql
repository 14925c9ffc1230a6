-- grain: one row per event of a kind not known here, kept whole
create table if not exists other_event (
    message_key uuid,
    message_id varchar,
    recipient varchar,
    sender varchar,
    campaign_id varchar,
    campaign_name varchar,
    webhook varchar,
    kind varchar,
    event json,
    occurred_at timestamp,
    received_at timestamp,
    extra json
);
