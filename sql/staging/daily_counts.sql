-- grain: day, in the report zone, on which a message was delivered or else bounced
-- tracked_accepted = accepted messages of tracked campaigns; a day without is not
-- tracked
create or replace view daily_counts as
with quarter_hour as (
    select *
    from outcome_counts(
        'message_part', time_bucket(interval 15 minutes, attempted_at), null
    )
    union all by name
    select
        time_bucket(interval 15 minutes, attempted_at) as first_key,
        count(*) as untracked,
    from untracked_message
    group by first_key
)

select
    cast(report_time(first_key) as date) as day,
    cast(sum(attempted) as bigint) as attempted,
    cast(sum(delivered) as bigint) as delivered,
    cast(sum(accepted) as bigint) as accepted,
    cast(sum(bounced) as bigint) as bounced,
    cast(sum(hard) as bigint) as hard,
    cast(sum(soft) as bigint) as soft,
    cast(sum(block) as bigint) as block,
    cast(sum(undetermined) as bigint) as undetermined,
    cast(sum(opened) as bigint) as opened,
    cast(sum(clicked) as bigint) as clicked,
    cast(sum(confirmed_opened) as bigint) as confirmed_opened,
    cast(sum(opens) as bigint) as opens,
    cast(sum(clicks) as bigint) as clicks,
    cast(sum(unsubscribed) as bigint) as unsubscribed,
    cast(sum(complained) as bigint) as complained,
    cast(sum(complaints) as bigint) as complaints,
    cast(sum(opened_human) as bigint) as opened_human,
    cast(sum(clicked_human) as bigint) as clicked_human,
    cast(sum(confirmed_opened_human) as bigint) as confirmed_opened_human,
    cast(sum(unsubscribed_human) as bigint) as unsubscribed_human,
    min(first_delivered_at) as first_delivered_at,
    max(last_delivered_at) as last_delivered_at,
    cast(sum(accepted) - coalesce(sum(untracked), 0) as bigint) as tracked_accepted,
    tracked_accepted > 0 as is_tracked,
    cast(if(is_tracked, sum(accepted), null) as bigint) as rated,
    has_complaints() as has_complaints,
from quarter_hour
group by day;
