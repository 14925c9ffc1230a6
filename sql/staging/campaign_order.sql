-- grain: one row per campaign: its commonest sender domain and its recency (1 the
-- newest by first delivery; by first bounce where nothing was delivered)
create or replace view campaign_order as
with sent as (
    select
        campaign_id,
        sender,
        count(*) as messages,
        min(delivered_at) as first_delivered_at,
        min(attempted_at) as first_attempted_at,
    from message_base
    where campaign_id is not null
    group by campaign_id, sender
),

by_domain as (
    select
        campaign_id,
        address_domain(sender) as sender_domain,
        sum(messages) as messages,
        min(first_delivered_at) as first_delivered_at,
        min(first_attempted_at) as first_attempted_at,
    from sent
    group by campaign_id, sender_domain
),

commonest as (
    select
        campaign_id,
        arg_min(sender_domain, (-messages, sender_domain))
            filter (sender_domain is not null) as sender_domain,
        min(first_delivered_at) as first_delivered_at,
        min(first_attempted_at) as first_attempted_at,
    from by_domain
    group by campaign_id
)

select
    commonest.campaign_id,
    campaign.campaign_name,
    commonest.sender_domain,
    row_number() over (
        order by
            coalesce(commonest.first_delivered_at, commonest.first_attempted_at) desc,
            commonest.campaign_id
    ) as recency,
    cast(report_time(commonest.first_delivered_at) as date) as sent_date,
from commonest
left join campaign on commonest.campaign_id = campaign.campaign_id;
