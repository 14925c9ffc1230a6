-- grain: that of campaign_counts: adds unattributed_nearby, NULL where nothing of the
-- campaign was delivered
create or replace view campaign_nearby_counts as
select
    counted.*,
    unattributed_nearby.unattributed_nearby,
from campaign_counts as counted
left join unattributed_nearby
    on counted.campaign_id = unattributed_nearby.campaign_id;
