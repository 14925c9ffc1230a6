-- whether a bounce is asynchronous: as it says itself; of one that says nothing,
-- whether its message had been delivered
create or replace macro is_async(sync_type, delivered_at) as
coalesce(word_key(sync_type) = 'async', delivered_at is not null);
