-- What the events of each message amount to, and the campaigns in which that has changed.
create or replace temp table refresh_campaign as
select campaign_id
from refresh_touched
cross join (select 1 from refresh_plan where not is_full) as gate
union
select message_reaction.campaign_id
from message_reaction
semi join refresh_reaction_key
    on message_reaction.message_key = refresh_reaction_key.message_key
    and message_reaction.recipient = refresh_reaction_key.recipient
union
select refresh_assigned.campaign_id
from refresh_assigned
cross join (select 1 from refresh_plan where not is_full) as gate;

delete from message_reaction
where (select is_full from refresh_plan);

delete from message_reaction
using refresh_reaction_key
where message_reaction.message_key = refresh_reaction_key.message_key
    and message_reaction.recipient = refresh_reaction_key.recipient;

-- Sums over the columns of `part`. What is one for a message stands among the keys: a text
-- in an aggregate cannot be spilled to disk.
create or replace temp macro refresh_sums(part) as table
select
    message_key,
    recipient,
    campaign_id,
    count(*) filter (kind = 'open') as opens,
    count(*) filter (kind = 'click') as clicks,
    count(*) filter (kind = 'subscription_changed') as changes,
    count(*) filter (kind = 'complaint') as complaints,
    min(window_urls) filter (kind = 'click' and not is_machine) as least_window_urls,
    accepted,
    attempted_at,
    delivered_at,
    min(occurred_at) filter (kind = 'open') as first_opened_at,
    min(occurred_at) filter (kind = 'open' and not is_machine) as first_human_opened_at,
    min(occurred_at) filter (kind = 'click') as first_clicked_at,
    min(occurred_at) filter (is_unsubscribe) as unsubscribed_at,
    min(occurred_at) filter (is_unsubscribe and not is_machine) as human_unsubscribed_at,
    min(occurred_at) filter (kind = 'complaint') as complained_at,
from query_table(part)
group by message_key, recipient, campaign_id, accepted, attempted_at, delivered_at;

-- Most messages have not clicked several times: nothing needs to be looked up for them.
create or replace temp view refresh_plain as
select
    * exclude (url_key),
    lone_urls(url_key) as window_urls,
    case kind
        when 'click' then is_instant(occurred_at, delivered_at)
        when 'open' then is_early_open(occurred_at, delivered_at)
        else false
    end as is_machine,
from refresh_assigned
anti join refresh_several using (message_key, recipient);

create or replace temp table refresh_flagged as
with burst as (
    select
        message_key,
        recipient,
        list(occurred_at) as burst_at,
    from click_moment
    semi join refresh_several using (message_key, recipient)
    where is_burst
    group by message_key, recipient
),

event as (
    select *
    from refresh_assigned
    semi join refresh_several using (message_key, recipient)
)

select
    event.* exclude (url_key),
    null as window_urls,
    if(
        event.kind = 'open',
        is_echo(event.occurred_at, event.delivered_at, burst.burst_at),
        is_suspect(event.occurred_at, burst.burst_at)
    ) as is_machine,
from event
left join burst
    on event.message_key = burst.message_key
    and event.recipient = burst.recipient
where event.kind <> 'click'
union all
select
    event.* exclude (url_key),
    click_moment.window_urls,
    click_moment.is_burst or is_instant(event.occurred_at, event.delivered_at) as is_machine,
from event
inner join click_moment
    on event.message_key = click_moment.message_key
    and event.recipient = click_moment.recipient
    and event.occurred_at = click_moment.occurred_at
where event.kind = 'click';

insert into message_reaction by name
from refresh_sums('refresh_plain');

insert into message_reaction by name
from refresh_sums('refresh_flagged');
