-- grain: one row per click that reached a message, with its machine flags but coverage,
-- which hangs on the campaign's number of URLs (window_urls is what decides it); kept by
-- sql/refresh
create table if not exists message_click (
    event_key uuid,
    message_key uuid,
    recipient varchar,
    campaign_id varchar,
    named_campaign_id varchar,
    matched_by varchar,
    sender varchar,
    url varchar,
    window_urls bigint,
    accepted boolean,
    is_burst boolean,
    is_instant boolean,
    attempted_at timestamp,
    delivered_at timestamp,
    occurred_at timestamp,
    received_at timestamp
);
