-- grain: one row per campaign: its distinct URLs clicked
create or replace view campaign_link_count as
select
    campaign_id,
    urls,
from campaign
where campaign_id is not null;
