-- grain: measure over the newest 30 days of deliveries, beside the 30 days before; the
-- difference with its Newcombe interval; stands_out when that leaves out 0
create or replace view period_measure as
with daily as materialized (
    select * from daily_counts
),

newest as (
    select max(day) as last_day
    from daily
    where delivered > 0
),

period as (
    select
        daily.day > newest.last_day - 30 as is_now,
        cast(sum(attempted) as bigint) as attempted,
        cast(sum(accepted) as bigint) as accepted,
        cast(sum(bounced) as bigint) as bounced,
        cast(sum(opened_human) as bigint) as opened,
        cast(sum(clicked_human) as bigint) as clicked,
        cast(sum(unsubscribed) as bigint) as unsubscribed,
    from daily
    cross join newest
    where daily.day > newest.last_day - 60
    group by is_now
),

long as (
    select
        is_now,
        unnest([
            {'n': 1, 'measure': 'delivery', 'k': accepted, 'of': attempted},
            {'n': 2, 'measure': 'bounce', 'k': bounced, 'of': attempted},
            {'n': 3, 'measure': 'open', 'k': opened, 'of': accepted},
            {'n': 4, 'measure': 'click', 'k': clicked, 'of': accepted},
            {'n': 5, 'measure': 'unsubscribe', 'k': unsubscribed, 'of': accepted},
        ]) as part,
    from period
),

paired as (
    select
        part.measure as measure,
        part.n as measure_number,
        max(part.k) filter (is_now) as numerator,
        max(part.of) filter (is_now) as denominator,
        max(part.k) filter (not is_now) as before_numerator,
        max(part.of) filter (not is_now) as before_denominator,
        exists (from campaign_tracking) or part.n <= 2 as is_known,
    from long
    group by part.measure, part.n
)

select
    measure,
    measure_number,
    30 as days,
    if(is_known, numerator, null) as numerator,
    denominator,
    before_denominator,
    if(is_known, rate(numerator, denominator), null) as rate,
    if(is_known, wilson_lo(numerator, denominator), null) as rate_lo,
    if(is_known, wilson_hi(numerator, denominator), null) as rate_hi,
    if(is_known, rate(before_numerator, before_denominator), null) as compared_rate,
    if(
        is_known,
        rate(numerator, denominator) - rate(before_numerator, before_denominator),
        null
    ) as difference,
    newcombe_lo(numerator, denominator, before_numerator, before_denominator)
        as difference_lo,
    newcombe_hi(numerator, denominator, before_numerator, before_denominator)
        as difference_hi,
    denominator < threshold('small_attempted') as is_small,
    coalesce(0 not between difference_lo and difference_hi, false) as stands_out,
from paired;
