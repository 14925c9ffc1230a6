-- grain: one row per message, with what its reactions amount to
create or replace view message_state as
with reaction as (
    select
        message_key,
        recipient,
        count(*) filter (kind = 'open') as opens,
        count(*) filter (kind = 'click') as clicks,
        count(*) filter (kind = 'complaint') as complaints,
        min(window_urls) filter (not is_burst and not is_instant) as least_window_urls,
        min(occurred_at) filter (kind = 'open') as first_opened_at,
        min(occurred_at) filter (kind = 'open' and not is_echo) as first_human_opened_at,
        min(occurred_at) filter (kind = 'click') as first_clicked_at,
        min(occurred_at) filter (change = 'unsubscribe') as unsubscribed_at,
        min(occurred_at) filter (change = 'unsubscribe' and not is_suspect)
            as human_unsubscribed_at,
        min(occurred_at) filter (kind = 'complaint') as complained_at,
    from message_event
    where matched_by <> 'none'
    group by message_key, recipient
)

select
    message_base.*,
    address_domain(message_base.recipient) as recipient_domain,
    coalesce(reaction.opens, 0) as opens,
    coalesce(reaction.clicks, 0) as clicks,
    coalesce(reaction.complaints, 0) as complaints,
    reaction.least_window_urls,
    reaction.first_opened_at,
    reaction.first_human_opened_at,
    reaction.first_clicked_at,
    reaction.unsubscribed_at,
    reaction.human_unsubscribed_at,
    reaction.complained_at,
from message_base
left join reaction
    on message_base.message_key = reaction.message_key
    and message_base.recipient = reaction.recipient;
