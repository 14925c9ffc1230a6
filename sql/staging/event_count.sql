-- the number of events of all kinds that are stored
create or replace macro event_count() as (
    (select count(*) from delivered)
    + (select count(*) from bounce)
    + (select count(*) from open)
    + (select count(*) from click)
    + (select count(*) from subscription_changed)
    + (select count(*) from other_event)
);
