-- grain: one row per campaign: campaign_report beside its sender domain and its recency
-- (1 the newest by first delivery; by first bounce where nothing was delivered)
create or replace view campaign_list as
select
    campaign_report.*,
    campaign_order.sender_domain,
    campaign_order.recency,
    campaign.urls,
from campaign_report
inner join campaign_order on campaign_report.campaign_id = campaign_order.campaign_id
left join campaign on campaign_report.campaign_id = campaign.campaign_id;
