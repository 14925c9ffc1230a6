-- grain: one row per open, click, subscription change and complaint whose message id no
-- message has: the message it reached by campaign and recipient, or none; kept by
-- sql/refresh
create table if not exists event_fallback (
    event_key uuid,
    message_key uuid,
    recipient varchar,
    campaign_id varchar,
    named_campaign_id varchar,
    kind varchar,
    matched_by varchar,
    sender varchar,
    url varchar,
    change varchar,
    accepted boolean,
    attempted_at timestamp,
    delivered_at timestamp,
    occurred_at timestamp,
    received_at timestamp
);
