-- grain: campaign with bounces of messages that had been delivered × age_hours: how
-- many of them bounced first later than that after their delivery (late_bounced), and
-- how many of these had been accepted until then (late_returned)
create or replace view late_bounce as
with delay as (
    select
        dense.campaign_id,
        hours_between(dense.delivered_at, min(bounce.occurred_at)) as hours,
        hours_between(
            dense.delivered_at,
            min(bounce.occurred_at) filter (
                is_async(bounce.sync_type, dense.delivered_at)
                and bounce.occurred_at > dense.delivered_at
            )
        ) as returned_hours,
    from message_dense as dense
    inner join bounce
        on dense.message_key = bounce.message_key
        and dense.recipient = recipient_key(bounce.recipient)
    where dense.campaign_id is not null and dense.bounced_at > dense.delivered_at
    group by
        dense.message_key, dense.recipient, dense.campaign_id, dense.delivered_at
),

by_age as (
    select
        campaign_id,
        count(*) as bounced,
        count(returned_hours) as returned,
        count_by_age(hours) as bounced_until,
        count_by_age(returned_hours) as returned_until,
    from delay
    group by campaign_id
)

select
    campaign_id,
    unnest(compared_ages()) as age_hours,
    bounced - unnest(bounced_until) as late_bounced,
    returned - unnest(returned_until) as late_returned,
from by_age;
