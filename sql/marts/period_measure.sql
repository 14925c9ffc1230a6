-- grain: measure over the newest 30 days of deliveries (of bounces, where nothing has
-- been delivered; from first_day on; none ahead of the clock by more than a day),
-- beside the 30 days before; opens, clicks and unsubscribes are of the accepted
-- messages of tracked campaigns, untracked are the others; complaints are of all
-- accepted, or, where none are reported, of none; gross_rate = opens, clicks of
-- machines included; unattributed = bounces of no known campaign
-- final_rate = the rate of the days that are final (is_final), fresh = the messages of
-- the others; difference = final_rate − compared_rate, with its Newcombe interval
-- stands_out: neither side is small, counts suffice, and the interval leaves out 0 even
-- when widened by how much campaigns differ anyway (campaign_spread), the more the
-- fewer make up the mail of either side; without campaigns to tell that nothing does
create or replace view period_measure as
with daily as materialized (
    select *
    from daily_counts
    where day <= tomorrow()
),

newest as (
    select
        coalesce(max(day) filter (delivered > 0), max(day)) as last_day,
        30 as days,
    from daily
),

long as (
    select
        daily.day > newest.last_day - newest.days as is_now,
        last_delivered_at,
        unnest([
            {'n': 1, 'measure': 'delivery', 'k': accepted, 'of': attempted, 'all': null,
                'not': null},
            {'n': 2, 'measure': 'bounce', 'k': bounced, 'of': attempted, 'all': null,
                'not': null},
            {'n': 3, 'measure': 'open', 'k': opened_human, 'of': tracked_accepted,
                'all': opened, 'not': accepted - tracked_accepted},
            {'n': 4, 'measure': 'click', 'k': clicked_human, 'of': tracked_accepted,
                'all': clicked, 'not': accepted - tracked_accepted},
            {'n': 5, 'measure': 'unsubscribe', 'k': unsubscribed,
                'of': tracked_accepted, 'all': null,
                'not': accepted - tracked_accepted},
            {'n': 6, 'measure': 'complaint', 'k': complained,
                'of': if(has_complaints, accepted, 0), 'all': null,
                'not': if(has_complaints, 0, accepted)},
        ]) as part,
    from daily
    cross join newest
    where daily.day > newest.last_day - 2 * newest.days
),

summed as (
    select
        part.measure as measure,
        part.n as measure_number,
        cast(sum(part.of) filter (is_now) as bigint) as denominator,
        cast(if(denominator > 0, sum(part.k) filter (is_now), null) as bigint)
            as numerator,
        cast(sum(part.all) filter (is_now) as bigint) as gross_numerator,
        cast(sum(part.not) filter (is_now) as bigint) as untracked,
        cast(sum(part.k) filter (is_now and is_final) as bigint) as final_numerator,
        cast(coalesce(sum(part.of) filter (is_now and is_final), 0) as bigint)
            as final_denominator,
        cast(sum(part.k) filter (not is_now) as bigint) as before_numerator,
        cast(sum(part.of) filter (not is_now) as bigint) as before_denominator,
    from (select *, is_final(last_delivered_at) as is_final from long)
    group by part.measure, part.n
),

compared as (
    select
        *,
        rate(final_numerator, final_denominator) as final_rate,
        rate(before_numerator, before_denominator) as compared_rate,
        final_rate - compared_rate as difference,
        newcombe_lo(
            final_numerator, final_denominator, before_numerator, before_denominator
        ) as difference_lo,
        newcombe_hi(
            final_numerator, final_denominator, before_numerator, before_denominator
        ) as difference_hi,
    from summed
),

sent as (
    select
        measure,
        pow(denominator, 2) as square,
        denominator,
        cast(report_time(last_delivered_at) as date) > last_day - days as is_now,
        cast(report_time(first_delivered_at) as date) <= last_day - days as is_before,
    from judged_rate
    cross join newest
    where is_final
        and cast(report_time(last_delivered_at) as date) > last_day - 2 * days
),

-- 1 / the number of campaigns, were those of each side of one size
clump as (
    select
        measure,
        sum(square) filter (is_now) / pow(sum(denominator) filter (is_now), 2)
            + sum(square) filter (is_before)
            / pow(sum(denominator) filter (is_before), 2) as clumped,
    from sent
    group by measure
),

nameless as (
    select cast(coalesce(sum(bounces), 0) as bigint) as unattributed
    from (
        select
            time_bucket(interval 15 minutes, attempted_at) as quarter_hour,
            count(*) as bounces,
        from message_dense
        where campaign_id is null and bounced_at is not null
        group by quarter_hour
    )
    cross join newest
    where cast(report_time(quarter_hour) as date)
        between newest.last_day - newest.days + 1 and tomorrow()
)

select
    compared.measure,
    compared.measure_number,
    newest.days,
    greatest(newest.last_day - newest.days + 1, date '0001-01-01') as first_day,
    nameless.unattributed,
    compared.numerator,
    compared.denominator,
    compared.untracked,
    compared.denominator - compared.final_denominator as fresh,
    compared.before_denominator,
    rate(compared.numerator, compared.denominator) as rate,
    wilson_lo(compared.numerator, compared.denominator) as rate_lo,
    wilson_hi(compared.numerator, compared.denominator) as rate_hi,
    rate(compared.gross_numerator, compared.denominator) as gross_rate,
    compared.final_rate,
    compared.compared_rate,
    compared.difference,
    compared.difference_lo,
    compared.difference_hi,
    compared.denominator < threshold('small_attempted') as is_small,
    coalesce(
        least(compared.final_denominator, compared.before_denominator)
        >= threshold('small_attempted')
        and seen_enough(
            compared.final_numerator,
            compared.final_denominator,
            compared.compared_rate
        )
        and abs(compared.difference) > sqrt(
            pow(if(
                compared.difference > 0,
                compared.difference - compared.difference_lo,
                compared.difference_hi - compared.difference
            ), 2)
            + clump.clumped * pow(
                normal_z() * campaign_spread.spread
                * campaign_spread.pooled_rate * (1 - campaign_spread.pooled_rate),
                2
            )
        ),
        false
    ) as stands_out,
from compared
cross join newest
cross join nameless
left join clump on compared.measure = clump.measure
left join campaign_spread on compared.measure = campaign_spread.measure;
