-- grain: that of campaign_counts, with the unattributed bounces of its time
create or replace view campaign_nearby_counts as
from unattributed_nearby('campaign_counts');
