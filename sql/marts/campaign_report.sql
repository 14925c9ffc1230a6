-- grain: campaign, plus one row with campaign_id NULL for the unattributed messages
-- rates as in outcome_rates; bounce_rate_upper = (bounced + u) / (attempted + u), where u =
-- unattributed_nearby = unattributed bounces between 24 h before the campaign's first and
-- 168 h after its last delivery: the most that could belong to it
create or replace view campaign_report as
with unattributed as (
    select
        bounced_at,
        cast(sum(count(*)) over (order by bounced_at) as bigint) as bounced_until,
    from message_dense
    where campaign_id is null and bounced_at is not null
    group by bounced_at
),

report as (
    select
        *,
        hours_between(last_delivered_at, report_now()) as age_hours,
    from outcome_rates('campaign_counts')
),

nearby as (
    select
        report.*,
        if(
            report.campaign_id is null or report.first_delivered_at is null,
            null,
            coalesce(late.bounced_until, 0) - coalesce(early.bounced_until, 0)
        ) as unattributed_nearby,
    from report
    asof left join unattributed as late
        on report.last_delivered_at + threshold_time('unattributed_after_hours')
        >= late.bounced_at
    asof left join unattributed as early
        on report.first_delivered_at - threshold_time('unattributed_before_hours')
        > early.bounced_at
)

select
    campaign_id,
    campaign_name,
    first_delivered_at,
    last_delivered_at,
    attempted,
    delivered,
    accepted,
    bounced,
    hard,
    soft,
    block,
    undetermined,
    opened,
    clicked,
    opens,
    clicks,
    unsubscribed,
    delivery_rate,
    delivery_rate_lo,
    delivery_rate_hi,
    bounce_rate,
    bounce_rate_lo,
    bounce_rate_hi,
    open_rate,
    open_rate_lo,
    open_rate_hi,
    click_rate,
    click_rate_lo,
    click_rate_hi,
    click_to_open_rate,
    click_to_open_rate_lo,
    click_to_open_rate_hi,
    unsubscribe_rate,
    unsubscribe_rate_lo,
    unsubscribe_rate_hi,
    opened_human,
    clicked_human,
    maturity(age_hours) as maturity,
    age_hours,
    is_small,
    is_tracked,
    confirmed_opened,
    confirmed_opened_human,
    unsubscribed_human,
    complained,
    complaints,
    hard_rate,
    hard_rate_lo,
    hard_rate_hi,
    soft_rate,
    soft_rate_lo,
    soft_rate_hi,
    block_rate,
    block_rate_lo,
    block_rate_hi,
    undetermined_rate,
    undetermined_rate_lo,
    undetermined_rate_hi,
    confirmed_open_rate,
    confirmed_open_rate_lo,
    confirmed_open_rate_hi,
    open_human_rate,
    open_human_rate_lo,
    open_human_rate_hi,
    click_human_rate,
    click_human_rate_lo,
    click_human_rate_hi,
    complaint_rate,
    complaint_rate_lo,
    complaint_rate_hi,
    unattributed_nearby,
    rate(bounced + unattributed_nearby, attempted + unattributed_nearby)
        as bounce_rate_upper,
    report_timezone() as timezone,
    cast(report_time(first_delivered_at) as date) as sent_date,
    report_time(first_delivered_at) as first_delivered_at_local,
    report_time(last_delivered_at) as last_delivered_at_local,
from nearby;
