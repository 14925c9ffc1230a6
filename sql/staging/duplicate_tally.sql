-- grain: load × kind × sender domain × quarter hour of the event: duplicates not stored
create table if not exists duplicate_tally (
    kind varchar,
    sender_domain varchar,
    occurred_at timestamp,
    duplicates bigint
);
