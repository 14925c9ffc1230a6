-- grain: one row per message that an open, click, subscription change or complaint
-- reached; least_window_urls is of its clicks that no other rule flags: coverage
-- decides by it in the views; last_human_at is of its unflagged opens and subscription
-- changes; kept by sql/refresh
create table if not exists message_reaction (
    message_key uuid,
    recipient varchar,
    campaign_id varchar,
    opens bigint,
    clicks bigint,
    changes bigint,
    complaints bigint,
    least_window_urls bigint,
    accepted boolean,
    attempted_at timestamp,
    delivered_at timestamp,
    first_opened_at timestamp,
    first_human_opened_at timestamp,
    first_clicked_at timestamp,
    unsubscribed_at timestamp,
    human_unsubscribed_at timestamp,
    complained_at timestamp,
    last_human_at timestamp
);

-- a release before this one did not keep it
alter table message_reaction add column if not exists last_human_at timestamp;
