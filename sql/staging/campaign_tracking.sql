-- grain: one row per campaign (NULL: messages of none) that an open, click or subscription
-- change names or reached: campaigns without a row are not tracked
create or replace view campaign_tracking as
select campaign_id
from campaign
where is_tracked;
