-- grain: a key of a row that was added, replaced or removed since the last refresh; the
-- loader writes it in the loading transaction, sql/refresh reads and empties it
create table if not exists refresh_touched (
    message_key uuid,
    recipient varchar
);
