-- grain: kind × sender domain × quarter hour of the event: duplicates not stored;
-- between two refreshes a load more
create table if not exists duplicate_tally (
    kind varchar,
    sender_domain varchar,
    occurred_at timestamp,
    duplicates bigint
);
