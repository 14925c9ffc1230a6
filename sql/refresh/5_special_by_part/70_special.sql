-- The events of special messages, one by one.
create or replace temp table refresh_assigned as
select
    event.kind,
    event.message_key,
    event.recipient_number,
    url_key(event.url) as url_key,
    event.change is not distinct from 'unsubscribe' as is_unsubscribe,
    message.delivered_at,
    event.occurred_at,
from (
    select
        *,
        recipient_number(recipient) as recipient_number,
    from refresh_event
) as event
inner join refresh_special as message using (message_key, recipient_number)
where refresh_is_here(message.message_key);

insert into refresh_assigned by name
select
    kind,
    message_key,
    recipient_number(recipient) as recipient_number,
    url_key(url) as url_key,
    change is not distinct from 'unsubscribe' as is_unsubscribe,
    delivered_at,
    occurred_at,
from refresh_fallback
where matched_by = 'campaign'
    and refresh_is_here(message_key);

-- Bursts and windows of the messages with several clicks.
delete from click_moment
using refresh_reaction_key
where click_moment.message_key = refresh_reaction_key.message_key
    and click_moment.recipient = refresh_reaction_key.recipient;

create or replace temp table refresh_several as
select
    message_key,
    recipient_number,
from refresh_assigned
where kind = 'click'
group by message_key, recipient_number
having count(*) > 1 or threshold('burst_urls') <= 1;

insert into click_moment by name
with centre as (
    select distinct
        message_key,
        recipient_number,
        occurred_at,
        count(distinct url_key) over (
            partition by message_key, recipient_number
            order by occurred_at
            range between threshold_time('burst_seconds') preceding
            and threshold_time('burst_seconds') following
        ) >= threshold('burst_urls') as is_burst_centre,
        count(distinct url_key) over (
            partition by message_key, recipient_number
            order by occurred_at
            range between current row and threshold_time('coverage_seconds') following
        ) as urls_ahead,
    from refresh_assigned
    semi join refresh_several using (message_key, recipient_number)
    where kind = 'click'
)

select
    centre.message_key,
    refresh_special.recipient,
    centre.occurred_at,
    bool_or(centre.is_burst_centre) over (
        partition by centre.message_key, centre.recipient_number
        order by centre.occurred_at
        range between threshold_time('burst_seconds') preceding
        and threshold_time('burst_seconds') following
    ) as is_burst,
    max(centre.urls_ahead) over (
        partition by centre.message_key, centre.recipient_number
        order by centre.occurred_at
        range between threshold_time('coverage_seconds') preceding and current row
    ) as window_urls,
from centre
inner join refresh_special using (message_key, recipient_number);

-- Which events are a machine's.
create or replace temp table refresh_flagged as
with moment as (
    select
        *,
        recipient_number(recipient) as recipient_number,
    from click_moment
    where refresh_is_here(message_key)
),

burst as (
    select
        message_key,
        recipient_number,
        list(occurred_at) as burst_at,
    from moment
    semi join refresh_several using (message_key, recipient_number)
    where is_burst
    group by message_key, recipient_number
)

select
    event.* exclude (url_key),
    null as window_urls,
    if(
        event.kind = 'open',
        is_echo(event.occurred_at, event.delivered_at, burst.burst_at),
        event.is_unsubscribe and is_suspect(event.occurred_at, burst.burst_at)
    ) as is_machine,
from refresh_assigned as event
left join burst using (message_key, recipient_number)
where event.kind <> 'click'
union all by name
select
    event.* exclude (url_key),
    moment.window_urls,
    moment.is_burst or is_instant(event.occurred_at, event.delivered_at) as is_machine,
from refresh_assigned as event
inner join moment using (message_key, recipient_number, occurred_at)
where event.kind = 'click'
union all by name
select
    * exclude (url_key),
    lone_urls(url_key) as window_urls,
    is_instant(occurred_at, delivered_at) as is_machine,
from refresh_assigned
anti join refresh_several using (message_key, recipient_number)
where kind = 'click';

insert into message_reaction by name
with summed as (
    select
        message_key,
        recipient_number,
        count(*) filter (kind = 'open') as opens,
        count(*) filter (kind = 'click') as clicks,
        count(*) filter (kind = 'subscription_changed') as changes,
        count(*) filter (kind = 'complaint') as complaints,
        min(window_urls) filter (kind = 'click' and not is_machine)
            as least_window_urls,
        min(occurred_at) filter (kind = 'open') as first_opened_at,
        min(occurred_at) filter (kind = 'open' and not is_machine)
            as first_human_opened_at,
        min(occurred_at) filter (kind = 'click') as first_clicked_at,
        min(occurred_at) filter (is_unsubscribe) as unsubscribed_at,
        min(occurred_at) filter (is_unsubscribe and not is_machine)
            as human_unsubscribed_at,
        min(occurred_at) filter (kind = 'complaint') as complained_at,
        max(occurred_at) filter (
            kind in ('open', 'subscription_changed') and not is_machine
        ) as last_human_at,
    from refresh_flagged
    group by message_key, recipient_number
)

select * exclude (recipient_number)
from summed
inner join refresh_special using (message_key, recipient_number);

-- The campaigns in which something has changed: as it is now.
insert into refresh_campaign
select message_reaction.campaign_id
from message_reaction
semi join refresh_reaction_key
    on message_reaction.message_key = refresh_reaction_key.message_key
    and message_reaction.recipient = refresh_reaction_key.recipient;
