-- grain: one row per open, click, subscription change and complaint
create or replace view reaction_event as
select
    'open' as kind,
    message_key,
    recipient_key(recipient) as recipient,
    campaign_id,
    sender,
    occurred_at,
    received_at,
from open
union all by name
select
    'click' as kind,
    message_key,
    recipient_key(recipient) as recipient,
    campaign_id,
    sender,
    url,
    occurred_at,
    received_at,
from click
union all by name
select
    'subscription_changed' as kind,
    message_key,
    recipient_key(recipient) as recipient,
    campaign_id,
    sender,
    word_key(change) as change,
    occurred_at,
    received_at,
from subscription_changed
union all by name
select
    'complaint' as kind,
    message_key,
    recipient_key(recipient) as recipient,
    campaign_id,
    sender,
    occurred_at,
    received_at,
from other_event
where word_key(kind) = 'complaint';
