-- Nothing is left to be done.
delete from refresh_touched;

delete from refresh_state
where (select is_due from refresh_plan);

insert into refresh_state
select
    definitions() || getvariable('refresh_rules') as definitions,
    event_count() as events,
from refresh_plan
where is_due;

drop macro table refresh_rows;
drop macro refresh_is_here;
drop macro temp.threshold;
drop macro temp.threshold_time;
drop view refresh_event;
drop view refresh_reachable;
drop view refresh_bounce;
drop view refresh_delivered;
drop table refresh_flagged;
drop table refresh_several;
drop table refresh_target;
drop table refresh_fallback;
drop table refresh_unmatched;
drop table refresh_assigned;
drop table refresh_special;
drop table refresh_changed;
drop table refresh_urls;
drop table refresh_campaign;
drop table refresh_touched_event;
drop table refresh_reaction_key;
drop table refresh_recipient;
drop table refresh_message;
drop table refresh_often;
drop table refresh_delivery;
drop table refresh_dense;
drop table refresh_touched_delivered;
drop table refresh_key;
drop table refresh_plan;

reset preserve_insertion_order;
