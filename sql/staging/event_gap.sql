-- grain: one row per silence of the whole event stream that is longer than gap_hours
-- and than gap_factor × the distance that 9 of 10 quarter hours with events keep, and
-- of a length that does not come every other week anyway, and three times at least, as
-- those of nights and weekends do: alike are silences that differ by less than
-- gap_alike times, and weeks are those with events, so that one event far back makes
-- no habit rare; what lies ahead of the clock ends no silence
create or replace view event_gap as
with active as (
    select
        quarter_hour,
        lag(quarter_hour) over (order by quarter_hour) as before_at,
    from event_volume
    where quarter_hour <= report_now() + threshold_time('ahead_hours')
    group by quarter_hour
),

silence as materialized (
    select
        before_at,
        quarter_hour,
        hours_between(before_at, quarter_hour) as hours,
    from active
    where before_at is not null
),

usual as (
    select
        quantile_cont(hours, 0.9) as usual_hours,
        count(distinct time_bucket(interval 7 days, quarter_hour)) as weeks,
    from silence
),

long as materialized (
    select
        silence.*,
        usual.usual_hours,
        usual.weeks,
    from silence
    cross join usual
    where silence.hours >= threshold('gap_hours')
)

select
    long.before_at as silent_from,
    long.quarter_hour as silent_until,
    long.hours,
    long.usual_hours,
from long
inner join long as alike
    on alike.hours > long.hours / threshold('gap_alike')
    and alike.hours < long.hours * threshold('gap_alike')
where long.hours >= threshold('gap_factor') * long.usual_hours
group by long.before_at, long.quarter_hour, long.hours, long.usual_hours
having count(*) < greatest(3, any_value(long.weeks) / 2);
