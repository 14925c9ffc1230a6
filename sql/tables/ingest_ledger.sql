-- grain: one row per load of one part of one segment; append-only, in one commit with
-- its rows
create table if not exists ingest_ledger (
    segment varchar,
    from_offset bigint,
    to_offset bigint,
    read bigint,
    inserted bigint,
    duplicates bigint,
    quarantined bigint,
    without_received_at bigint,
    first_received_at timestamp,
    last_received_at timestamp,
    started_at timestamp,
    finished_at timestamp
);
