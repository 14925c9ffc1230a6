-- grain: that of campaign_counts: adds unattributed_nearby, the unattributed bounces
-- between 24 h before the campaign's first and 168 h after its last delivery, but those
-- that another sender's domain says are its own (foreign_nearby)
create or replace view campaign_nearby_counts as
select
    counted.*,
    if(
        counted.campaign_id is null or counted.first_delivered_at is null,
        null,
        coalesce(late.bounced_until, 0) - coalesce(early.bounced_until, 0)
        - coalesce(foreign_nearby.foreign_bounces, 0)
    ) as unattributed_nearby,
from campaign_counts as counted
left join foreign_nearby on counted.campaign_id = foreign_nearby.campaign_id
asof left join unattributed_until as late
    on counted.last_delivered_at + threshold_time('unattributed_after_hours')
    >= late.bounced_at
asof left join unattributed_until as early
    on counted.first_delivered_at - threshold_time('unattributed_before_hours')
    > early.bounced_at;
