-- grain: campaign with bounces of messages that had been delivered × age_hours: how
-- many of them bounced later than that after their delivery (late_bounced), and so many
-- that had been accepted until then (late_returned)
create or replace view late_bounce as
with delay as (
    select
        campaign_id,
        accepted,
        hours_between(delivered_at, bounced_at) as hours,
    from message_dense
    where campaign_id is not null and bounced_at > delivered_at
),

by_age as (
    select
        campaign_id,
        count(*) as bounced,
        count(*) filter (not accepted) as returned,
        count_by_age(hours) as bounced_until,
        count_by_age(if(accepted, null, hours)) as returned_until,
    from delay
    group by campaign_id
)

select
    campaign_id,
    unnest([1, 6, 24, 72, 168]) as age_hours,
    bounced - unnest(bounced_until) as late_bounced,
    returned - unnest(returned_until) as late_returned,
from by_age;
