-- Nothing is left to be done.
delete from refresh_touched;

delete from refresh_state;

insert into refresh_state
select
    definitions() as definitions,
    event_count() as events;

drop table refresh_plan;
drop table refresh_key;
drop table refresh_recipient;
drop table refresh_campaign;
drop table refresh_bounce;
drop table refresh_dense;
drop table refresh_reached;
drop table refresh_unmatched;
drop table refresh_fallback;
drop table refresh_burst;
drop view refresh_assigned;
drop view refresh_reaction;
drop view refresh_delivered;
