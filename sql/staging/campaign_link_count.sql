-- grain: one row per campaign with clicks: its distinct URLs
create or replace view campaign_link_count as
select
    campaign_id,
    count(distinct url) as urls,
from message_event
where kind = 'click' and campaign_id is not null
group by campaign_id;
