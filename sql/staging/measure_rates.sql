-- grain: that of `source` × measure (delivery, bounce, open, click, unsubscribe),
-- beside the columns of `source`, which has the counts of outcome_counts and
-- is_tracked; opens and clicks are those by people, gross_rate those of machines
-- included; NULL where not tracked
create or replace macro measure_rates(source) as table
with long as (
    select
        *,
        unnest([
            {'n': 1, 'measure': 'delivery', 'k': accepted, 'of': attempted,
                'all': null},
            {'n': 2, 'measure': 'bounce', 'k': bounced, 'of': attempted, 'all': null},
            {'n': 3, 'measure': 'open', 'k': opened_human, 'of': accepted,
                'all': opened},
            {'n': 4, 'measure': 'click', 'k': clicked_human, 'of': accepted,
                'all': clicked},
            {'n': 5, 'measure': 'unsubscribe', 'k': unsubscribed, 'of': accepted,
                'all': null},
        ]) as part,
    from query_table(source)
),

shown as (
    select *, is_tracked or part.n <= 2 as is_known from long
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
    if(is_known, rate(part.all, part.of), null) as gross_rate,
    part.of < threshold('small_attempted') as is_small,
from shown;
