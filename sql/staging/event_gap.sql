-- grain: one row per silence of the whole event stream that is longer than gap_hours
-- and than gap_factor × the distance that 9 of 10 quarter hours with events keep
create or replace view event_gap as
with active as (
    select
        quarter_hour,
        lag(quarter_hour) over (order by quarter_hour) as before_at,
    from event_volume
    group by quarter_hour
),

usual as (
    select quantile_cont(hours_between(before_at, quarter_hour), 0.9) as usual_hours,
    from active
)

select
    active.before_at as silent_from,
    active.quarter_hour as silent_until,
    hours_between(active.before_at, active.quarter_hour) as hours,
    usual.usual_hours,
from active
cross join usual
where hours_between(active.before_at, active.quarter_hour) >= threshold('gap_hours')
    and hours_between(active.before_at, active.quarter_hour)
    >= threshold('gap_factor') * usual.usual_hours;
