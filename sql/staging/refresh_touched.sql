-- grain: a key of a row that was added, replaced or removed since the last refresh,
-- with the campaign that the row names; the loader writes it in the loading
-- transaction, sql/refresh reads and empties it
create table if not exists refresh_touched (
    message_key uuid,
    recipient varchar,
    campaign_id varchar
);

-- a release before this one did not tell the campaign
alter table refresh_touched add column if not exists campaign_id varchar;
