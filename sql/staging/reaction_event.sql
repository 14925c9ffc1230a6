-- grain: one row per open, click, subscription change and complaint
create or replace view reaction_event as
select
    'open' as kind,
    message_key,
    recipient_key(recipient) as recipient,
    campaign_id,
    sender,
    null as url,
    null as change,
    occurred_at,
    received_at,
from open
union all
select
    'click' as kind,
    message_key,
    recipient_key(recipient) as recipient,
    campaign_id,
    sender,
    url,
    null as change,
    occurred_at,
    received_at,
from click
union all
select
    'subscription_changed' as kind,
    message_key,
    recipient_key(recipient) as recipient,
    campaign_id,
    sender,
    null as url,
    word_key(change) as change,
    occurred_at,
    received_at,
from subscription_changed
union all
select
    'complaint' as kind,
    message_key,
    recipient_key(recipient) as recipient,
    campaign_id,
    sender,
    null as url,
    null as change,
    occurred_at,
    received_at,
from other_event
where word_key(kind) = 'complaint';
