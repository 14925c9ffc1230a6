-- grain: one row per recipient (lower case) with a message, a subscription change or a
-- complaint; kept by sql/refresh, read through recipient_health
create table if not exists recipient_state (
    recipient varchar,
    attempted bigint,
    accepted bigint,
    bounced bigint,
    consecutive_soft_bounces bigint,
    is_unsubscribed boolean,
    hard_reason varchar,
    repeated_reason varchar,
    last_attempted_at timestamp,
    last_accepted_at timestamp,
    hard_bounced_at timestamp,
    unsubscribed_at timestamp,
    complained_at timestamp,
    last_human_at timestamp
);
