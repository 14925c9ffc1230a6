-- What the events of each message amount to.
delete from message_reaction
where (select is_full from refresh_plan);

delete from message_reaction
using refresh_key
where message_reaction.message_key = refresh_key.message_key
    and message_reaction.recipient = refresh_key.recipient;

insert into message_reaction by name
with event as (
    select *
    from message_event
    cross join (select 1 from refresh_plan where is_full) as gate
    where matched_by <> 'none'
    union all by name
    select *
    from message_event
    semi join refresh_key
        on message_event.event_key = refresh_key.message_key
        and message_event.recipient = refresh_key.recipient
    where matched_by <> 'none'
),

reaction as (
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
    from event
    group by message_key, recipient
)

select
    reaction.*,
    message_base.campaign_id,
    message_base.recipient_domain,
    message_base.provider,
    message_base.sender_domain,
    message_base.accepted,
    message_base.attempted_at,
    message_base.delivered_at,
from reaction
inner join message_base
    on reaction.message_key = message_base.message_key
    and reaction.recipient = message_base.recipient;
