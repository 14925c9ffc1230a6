-- grain: campaign: its messages, from its first to its last delivery
create or replace view campaign_span as
select
    campaign_id,
    count(*) as attempted,
    count(*) filter (accepted) as accepted,
    count(bounced_at) as bounced,
    min(delivered_at) as first_delivered_at,
    max(delivered_at) as last_delivered_at,
from message_base
where campaign_id is not null
group by campaign_id;
