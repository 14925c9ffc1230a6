-- grain: campaign × measure (delivery, bounce, open, click, unsubscribe) × age_hours (NULL:
-- as it stands now); opens and clicks are those by people, gross_rate those of machines
-- included; bounces, being final, stand beside every age unchanged
create or replace view measured_rate as
with report as materialized (
    select * from campaign_counts where campaign_id is not null
),

counted as (
    select
        campaign_id,
        cast(null as bigint) as age_hours,
        is_tracked,
        attempted,
        accepted,
        bounced,
        opened,
        clicked,
        opened_human,
        clicked_human,
        unsubscribed,
    from report
    union all by name
    select
        campaign_age.campaign_id,
        campaign_age.age_hours,
        campaign_age.is_tracked,
        report.attempted,
        campaign_age.accepted,
        report.bounced,
        campaign_age.opened,
        campaign_age.clicked,
        campaign_age.opened_human,
        campaign_age.clicked_human,
        campaign_age.unsubscribed,
    from campaign_age
    inner join report on campaign_age.campaign_id = report.campaign_id
    where campaign_age.is_reached
),

long as (
    select
        campaign_id,
        age_hours,
        is_tracked,
        unnest([
            {'n': 1, 'measure': 'delivery', 'k': accepted, 'of': attempted, 'all': null},
            {'n': 2, 'measure': 'bounce', 'k': bounced, 'of': attempted, 'all': null},
            {'n': 3, 'measure': 'open', 'k': opened_human, 'of': accepted, 'all': opened},
            {'n': 4, 'measure': 'click', 'k': clicked_human, 'of': accepted, 'all': clicked},
            {'n': 5, 'measure': 'unsubscribe', 'k': unsubscribed, 'of': accepted,
                'all': null},
        ]) as part,
    from counted
),

shown as (
    select
        campaign_id,
        age_hours,
        part.measure as measure,
        part.n as measure_number,
        part.k as numerator,
        part.of as denominator,
        part.all as gross_numerator,
        is_tracked or part.n <= 2 as is_known,
    from long
)

select
    campaign_id,
    measure,
    measure_number,
    age_hours,
    if(is_known, numerator, null) as numerator,
    denominator,
    if(is_known, rate(numerator, denominator), null) as rate,
    if(is_known, wilson_lo(numerator, denominator), null) as rate_lo,
    if(is_known, wilson_hi(numerator, denominator), null) as rate_hi,
    if(is_known, rate(gross_numerator, denominator), null) as gross_rate,
    denominator < threshold('small_attempted') as is_small,
from shown;
