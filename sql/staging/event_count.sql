-- the number of events of all kinds that are stored
create or replace macro event_count() as (
    select count(*) from every_event
);
