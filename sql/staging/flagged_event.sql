-- grain: one row per open, click, subscription change and complaint: the message it
-- reached (matched_by message_id, campaign or none) and its machine flags but coverage,
-- which hangs on the campaign's number of URLs (window_urls is what decides it)
create or replace view flagged_event as
with burst as (
    select
        message_key,
        recipient,
        list(occurred_at) as burst_at,
    from click_moment
    where is_burst
    group by message_key, recipient
),

event as (
    select
        reaction_event.message_key as event_key,
        reaction_event.message_key,
        reaction_event.recipient,
        message_reaction.campaign_id,
        reaction_event.campaign_id as named_campaign_id,
        reaction_event.kind,
        'message_id' as matched_by,
        reaction_event.sender,
        reaction_event.url,
        reaction_event.change,
        message_reaction.accepted,
        message_reaction.delivered_at,
        reaction_event.occurred_at,
        reaction_event.received_at,
    from reaction_event
    inner join message_reaction
        on reaction_event.message_key = message_reaction.message_key
        and reaction_event.recipient = message_reaction.recipient
    union all by name
    select * exclude (attempted_at)
    from event_fallback
)

select
    event.*,
    coalesce(click_moment.window_urls, lone_urls(event.url)) as window_urls,
    coalesce(click_moment.is_burst, false) as is_burst,
    is_instant(event.occurred_at, event.delivered_at) as is_instant,
    false as is_echo,
    false as is_suspect,
from event
left join click_moment
    on event.message_key = click_moment.message_key
    and event.recipient = click_moment.recipient
    and event.occurred_at = click_moment.occurred_at
where event.kind = 'click'
union all
select
    event.*,
    null as window_urls,
    false as is_burst,
    false as is_instant,
    event.kind = 'open'
        and is_echo(event.occurred_at, event.delivered_at, burst.burst_at)
        as is_echo,
    event.change is not distinct from 'unsubscribe'
        and is_suspect(event.occurred_at, burst.burst_at) as is_suspect,
from event
left join burst
    on event.message_key = burst.message_key
    and event.recipient = burst.recipient
where event.kind <> 'click';
