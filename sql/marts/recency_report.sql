-- grain: recency: time since a recipient's last unflagged reaction; never: mail was
-- accepted, and none has come
-- reached_share = of the recipients to whom mail was accepted
create or replace view recency_report as
with aged as (
    select
        *,
        case
            when last_human_event_at is null then if(accepted > 0, 6, 7)
            when report_now() - last_human_event_at <= interval 30 days then 1
            when report_now() - last_human_event_at <= interval 90 days then 2
            when report_now() - last_human_event_at <= interval 180 days then 3
            when report_now() - last_human_event_at <= interval 365 days then 4
            else 5
        end as recency_number,
    from recipient_health
)

select
    [
        'up to 30 days', '31 to 90 days', '91 to 180 days', '181 to 365 days',
        'over a year', 'never', 'nothing accepted'
    ][recency_number] as recency,
    recency_number,
    count(*) as recipients,
    count(*) filter (suppress) as suppressed,
    cast(sum(attempted) as bigint) as attempted,
    cast(sum(accepted) as bigint) as accepted,
    cast(sum(bounced) as bigint) as bounced,
    rate(recipients, (select count(*) from recipient_health)) as recipient_share,
    rate(
        count(*) filter (accepted > 0),
        (select count(*) from recipient_health where accepted > 0)
    ) as reached_share,
    rate(suppressed, recipients) as suppress_rate,
    wilson_lo(suppressed, recipients) as suppress_rate_lo,
    wilson_hi(suppressed, recipients) as suppress_rate_hi,
from aged
group by recency_number;
