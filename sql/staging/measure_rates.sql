-- grain: that of `source` × measure (delivery, bounce, open, click, unsubscribe,
-- complaint), beside the columns of `source`, which has the counts of outcome_counts,
-- is_tracked and has_complaints; opens and clicks are those by people, gross_rate those
-- of machines included; NULL where not tracked, or not reported
-- accepted_messages = those of `attempted` that delivery counts as accepted
create or replace macro measure_rates(source, accepted_messages) as table
with long as (
    select
        *,
        unnest([
            {'n': 1, 'measure': 'delivery', 'k': accepted_messages, 'of': attempted,
                'all': null},
            {'n': 2, 'measure': 'bounce', 'k': bounced, 'of': attempted, 'all': null},
            {'n': 3, 'measure': 'open', 'k': opened_human, 'of': accepted,
                'all': opened},
            {'n': 4, 'measure': 'click', 'k': clicked_human, 'of': accepted,
                'all': clicked},
            {'n': 5, 'measure': 'unsubscribe', 'k': unsubscribed, 'of': accepted,
                'all': null},
            {'n': 6, 'measure': 'complaint', 'k': complained, 'of': accepted,
                'all': null},
        ]) as part,
    from query_table(source)
),

shown as (
    select
        *,
        case
            when part.n <= 2 then true
            when part.n <= 5 then is_tracked
            else has_complaints
        end as is_known,
    from long
)

select
    * exclude (part, is_known),
    part.measure as measure,
    part.n as measure_number,
    if(is_known, part.k, null) as numerator,
    part.of as denominator,
    if(is_known, rate(part.k, part.of), null) as rate,
    if(is_known, wilson_lo(part.k, part.of), null) as rate_lo,
    if(is_known, wilson_hi(part.k, part.of), null) as rate_hi,
    if(is_known, part.all, null) as gross_numerator,
    if(is_known, rate(part.all, part.of), null) as gross_rate,
    part.of < threshold('small_attempted') as is_small,
from shown;
