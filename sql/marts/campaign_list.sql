-- grain: one row per campaign: campaign_report beside its sender domain, its recency (1 the
-- newest by first delivery) and its times in the report zone
create or replace view campaign_list as
with sender as (
    select
        campaign_id,
        mode(sender_domain order by sender_domain) as sender_domain,
    from messages
    where campaign_id is not null
    group by campaign_id
)

select
    campaign_report.*,
    sender.sender_domain,
    report_timezone() as timezone,
    row_number() over (
        order by campaign_report.first_delivered_at desc nulls last,
        campaign_report.campaign_id
    ) as recency,
    cast(report_time(campaign_report.first_delivered_at) as date) as sent_date,
    report_time(campaign_report.first_delivered_at) as first_delivered_at_local,
    report_time(campaign_report.last_delivered_at) as last_delivered_at_local,
from campaign_report
left join sender on campaign_report.campaign_id = sender.campaign_id
where campaign_report.campaign_id is not null;
