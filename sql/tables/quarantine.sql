-- grain: one row per spool line (or array element) that was set aside, and why
create table if not exists quarantine (
    reason varchar,
    line varchar,
    segment varchar,
    line_offset bigint,
    received_at timestamp
);
