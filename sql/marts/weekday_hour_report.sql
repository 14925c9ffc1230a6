-- grain: weekday (1 Monday … 7 Sunday) × hour, in the report zone, of what happened
-- delivered = messages by their delivery; opens, clicks = events that reached a
-- message; open_is_small, click_is_small = those by people are too few in all to tell
-- hours apart
create or replace view weekday_hour_report as
with delivered_at_quarter as (
    select
        time_bucket(interval 15 minutes, delivered_at) as quarter_hour,
        count(*) as delivered,
    from message_base
    where delivered_at is not null
    group by quarter_hour
),

reaction_at_quarter as (
    select
        time_bucket(interval 15 minutes, occurred_at) as quarter_hour,
        count(*) filter (kind = 'open') as opens,
        count(*) filter (kind = 'open' and not is_machine) as opens_human,
        count(*) filter (kind = 'click') as clicks,
        count(*) filter (kind = 'click' and not is_machine) as clicks_human,
    from event_message
    where matched_by <> 'none'
    group by quarter_hour
),

local_time as (
    select
        report_time(quarter_hour) as local_at,
        *,
    from (
        select *
        from delivered_at_quarter
        union all by name
        select *
        from reaction_at_quarter
    )
),

grid as (
    select
        weekday,
        hour,
    from (select cast(unnest(range(1, 8)) as bigint) as weekday) as weekdays
    cross join (select cast(unnest(range(0, 24)) as bigint) as hour) as hours
),

by_hour as materialized (
    select
        isodow(local_at) as weekday,
        hour(local_at) as hour,
        sum(delivered) as delivered,
        sum(opens) as opens,
        sum(opens_human) as opens_human,
        sum(clicks) as clicks,
        sum(clicks_human) as clicks_human,
    from local_time
    group by weekday, hour
),

whole as (
    select
        coalesce(sum(opens_human), 0) as opens_human,
        coalesce(sum(clicks_human), 0) as clicks_human,
    from by_hour
)

select
    grid.weekday,
    grid.hour,
    cast(coalesce(by_hour.delivered, 0) as bigint) as delivered,
    cast(coalesce(by_hour.opens, 0) as bigint) as opens,
    cast(coalesce(by_hour.opens_human, 0) as bigint) as opens_human,
    cast(coalesce(by_hour.clicks, 0) as bigint) as clicks,
    cast(coalesce(by_hour.clicks_human, 0) as bigint) as clicks_human,
    rate(coalesce(by_hour.opens_human, 0), whole.opens_human) as open_human_share,
    rate(coalesce(by_hour.clicks_human, 0), whole.clicks_human) as click_human_share,
    whole.opens_human < threshold('small_attempted') as open_is_small,
    whole.clicks_human < threshold('small_attempted') as click_is_small,
from grid
cross join whole
left join by_hour on grid.weekday = by_hour.weekday and grid.hour = by_hour.hour;
