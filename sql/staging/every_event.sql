-- grain: one row per event of any kind, with its table as kind ('other': other_event),
-- and of the columns that all kinds share those that something is counted by
create or replace view every_event as
select
    'delivered' as kind,
    sender,
    campaign_id,
    campaign_name,
    occurred_at,
    received_at,
from delivered
union all
select
    'bounce' as kind,
    sender,
    campaign_id,
    campaign_name,
    occurred_at,
    received_at,
from bounce
union all
select
    'open' as kind,
    sender,
    campaign_id,
    campaign_name,
    occurred_at,
    received_at,
from open
union all
select
    'click' as kind,
    sender,
    campaign_id,
    campaign_name,
    occurred_at,
    received_at,
from click
union all
select
    'subscription_changed' as kind,
    sender,
    campaign_id,
    campaign_name,
    occurred_at,
    received_at,
from subscription_changed
union all
select
    'other' as kind,
    sender,
    campaign_id,
    campaign_name,
    occurred_at,
    received_at,
from other_event;
