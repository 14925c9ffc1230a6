-- grain: measure over the newest 30 days of deliveries (of bounces, where nothing has been
-- delivered), beside the 30 days before; opens, clicks and unsubscribes are of the accepted
-- messages of tracked campaigns, untracked are the others; gross_rate = opens, clicks of
-- machines included; the difference with its Newcombe interval; stands_out when that leaves
-- out 0
create or replace view period_measure as
with daily as materialized (
    select * from daily_counts
),

newest as (
    select coalesce(max(day) filter (delivered > 0), max(day)) as last_day
    from daily
),

period as (
    select
        daily.day > newest.last_day - 30 as is_now,
        cast(sum(attempted) as bigint) as attempted,
        cast(sum(accepted) as bigint) as accepted,
        cast(sum(tracked_accepted) as bigint) as tracked,
        cast(sum(bounced) as bigint) as bounced,
        cast(sum(opened) as bigint) as opened,
        cast(sum(clicked) as bigint) as clicked,
        cast(sum(opened_human) as bigint) as opened_human,
        cast(sum(clicked_human) as bigint) as clicked_human,
        cast(sum(unsubscribed) as bigint) as unsubscribed,
    from daily
    cross join newest
    where daily.day > newest.last_day - 60
    group by is_now
),

long as (
    select
        is_now,
        accepted - tracked as untracked,
        unnest([
            {'n': 1, 'measure': 'delivery', 'k': accepted, 'of': attempted, 'all': null},
            {'n': 2, 'measure': 'bounce', 'k': bounced, 'of': attempted, 'all': null},
            {'n': 3, 'measure': 'open', 'k': opened_human, 'of': tracked, 'all': opened},
            {'n': 4, 'measure': 'click', 'k': clicked_human, 'of': tracked, 'all': clicked},
            {'n': 5, 'measure': 'unsubscribe', 'k': unsubscribed, 'of': tracked,
                'all': null},
        ]) as part,
    from period
),

paired as (
    select
        part.measure as measure,
        part.n as measure_number,
        max(if(part.of > 0, part.k, null)) filter (is_now) as numerator,
        max(part.of) filter (is_now) as denominator,
        max(part.all) filter (is_now) as gross_numerator,
        if(part.n > 2, max(untracked) filter (is_now), null) as untracked,
        max(part.k) filter (not is_now) as before_numerator,
        max(part.of) filter (not is_now) as before_denominator,
    from long
    group by part.measure, part.n
)

select
    measure,
    measure_number,
    30 as days,
    numerator,
    denominator,
    untracked,
    before_denominator,
    rate(numerator, denominator) as rate,
    wilson_lo(numerator, denominator) as rate_lo,
    wilson_hi(numerator, denominator) as rate_hi,
    rate(gross_numerator, denominator) as gross_rate,
    rate(before_numerator, before_denominator) as compared_rate,
    rate - compared_rate as difference,
    newcombe_lo(numerator, denominator, before_numerator, before_denominator)
        as difference_lo,
    newcombe_hi(numerator, denominator, before_numerator, before_denominator)
        as difference_hi,
    denominator < threshold('small_attempted') as is_small,
    coalesce(0 not between difference_lo and difference_hi, false) as stands_out,
from paired;
