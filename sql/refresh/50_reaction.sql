-- What the events of each message amount to.
delete from message_reaction
where (select is_full from refresh_plan);

delete from message_reaction
using refresh_key
where message_reaction.message_key = refresh_key.message_key
    and message_reaction.recipient = refresh_key.recipient;

create or replace temp view refresh_click as
select message_click.*
from message_click
cross join (select 1 from refresh_plan where is_full) as gate
union all
select message_click.*
from message_click
semi join refresh_key
    on message_click.event_key = refresh_key.message_key
    and message_click.recipient = refresh_key.recipient;

-- Joined first and summed up after: memory then has to hold one of both at a time.
create or replace temp table refresh_flagged as
with burst as (
    select
        message_key,
        recipient,
        list(occurred_at) as burst_at,
    from refresh_click
    where is_burst
    group by message_key, recipient
)

select
    assigned.message_key,
    assigned.recipient,
    assigned.campaign_id,
    assigned.kind,
    assigned.accepted,
    assigned.attempted_at,
    assigned.delivered_at,
    assigned.occurred_at,
    assigned.change is not distinct from 'unsubscribe' as is_unsubscribe,
    null as window_urls,
    if(
        assigned.kind = 'open',
        is_echo(assigned.occurred_at, assigned.delivered_at, burst.burst_at),
        is_suspect(assigned.occurred_at, burst.burst_at)
    ) as is_machine,
from refresh_assigned as assigned
left join burst
    on assigned.message_key = burst.message_key
    and assigned.recipient = burst.recipient
where assigned.kind <> 'click'
union all
select
    message_key,
    recipient,
    campaign_id,
    'click' as kind,
    accepted,
    attempted_at,
    delivered_at,
    occurred_at,
    false as is_unsubscribe,
    window_urls,
    is_burst or is_instant as is_machine,
from refresh_click;

-- What is one for a message stands among the keys: a text in an aggregate cannot be
-- spilled to disk.
insert into message_reaction by name
select
    message_key,
    recipient,
    campaign_id,
    count(*) filter (kind = 'open') as opens,
    count(*) filter (kind = 'click') as clicks,
    count(*) filter (kind = 'subscription_changed') as changes,
    count(*) filter (kind = 'complaint') as complaints,
    min(window_urls) filter (not is_machine) as least_window_urls,
    accepted,
    attempted_at,
    delivered_at,
    min(occurred_at) filter (kind = 'open') as first_opened_at,
    min(occurred_at) filter (kind = 'open' and not is_machine) as first_human_opened_at,
    min(occurred_at) filter (kind = 'click') as first_clicked_at,
    min(occurred_at) filter (is_unsubscribe) as unsubscribed_at,
    min(occurred_at) filter (is_unsubscribe and not is_machine) as human_unsubscribed_at,
    min(occurred_at) filter (kind = 'complaint') as complained_at,
from refresh_flagged
group by message_key, recipient, campaign_id, accepted, attempted_at, delivered_at;
