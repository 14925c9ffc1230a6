-- Nothing is left to be done.
delete from refresh_touched;

delete from refresh_state
where (select is_due from refresh_plan);

insert into refresh_state
select
    definitions() as definitions,
    event_count() as events,
from refresh_plan
where is_due;

drop view refresh_click;
drop view refresh_assigned;
drop view refresh_event;
drop table refresh_plan;
drop table refresh_key;
drop table refresh_recipient;
drop view refresh_bounce;
drop table refresh_often;
drop table refresh_delivery;
drop table refresh_dense;
drop table refresh_event_key;
drop table refresh_reached;
drop table refresh_unmatched;
drop table refresh_flagged;

reset preserve_insertion_order;
