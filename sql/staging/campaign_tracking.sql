-- grain: one row per campaign (NULL: messages of none) that an open, click or subscription
-- change names or reached: campaigns without a row are not tracked
create or replace view campaign_tracking as
select named_campaign_id as campaign_id
from message_event
where kind <> 'complaint' and named_campaign_id is not null
union
select campaign_id
from message_event
where kind <> 'complaint' and matched_by <> 'none';
