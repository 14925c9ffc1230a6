-- grain: one row per open, click, subscription change and complaint: the message it
-- reached (matched_by message_id, campaign or none) and its machine flags but coverage,
-- which hangs on the campaign's number of URLs (window_urls is what decides it); kept by
-- sql/refresh
create table if not exists message_event (
    event_key uuid,
    message_key uuid,
    recipient varchar,
    campaign_id varchar,
    named_campaign_id varchar,
    kind varchar,
    matched_by varchar,
    sender_domain varchar,
    url varchar,
    change varchar,
    window_urls bigint,
    accepted boolean,
    is_burst boolean,
    is_instant boolean,
    is_echo boolean,
    is_suspect boolean,
    delivered_at timestamp,
    occurred_at timestamp,
    received_at timestamp
);
