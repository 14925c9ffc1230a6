-- grain: one row per event of which two different lines arrived at the same moment and
-- the one that stands is not known yet; empty whenever the warehouse is published
create table if not exists tie (
    kind varchar,
    message_key uuid,
    occurred_at timestamp
);
