-- grain: day, in the report zone, of delivery (of the bounce where nothing was
-- delivered) × outcome: accepted, or the bounce class, or unattributed for a bounce of
-- no campaign
create or replace view daily_outcome_report as
with by_quarter_hour as (
    select
        time_bucket(interval 15 minutes, attempted_at) as quarter_hour,
        case
            when accepted then 'accepted'
            when campaign_id is null then 'unattributed'
            else bounce_class
        end as outcome,
        count(*) as messages,
    from message_base
    group by quarter_hour, outcome
),

by_day as (
    select
        cast(report_time(quarter_hour) as date) as day,
        outcome,
        cast(sum(messages) as bigint) as messages,
    from by_quarter_hour
    group by day, outcome
)

select
    day,
    outcome,
    messages,
    rate(messages, sum(messages) over (partition by day)) as outcome_share,
from by_day;
