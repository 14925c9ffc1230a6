-- The campaigns in which something has changed: here as it was.
create or replace temp table refresh_campaign as
select campaign_id
from refresh_touched
cross join (select 1 from refresh_plan where not is_full) as gate
union
select message_reaction.campaign_id
from message_reaction
semi join refresh_reaction_key
    on message_reaction.message_key = refresh_reaction_key.message_key
    and message_reaction.recipient = refresh_reaction_key.recipient;

delete from message_reaction
using refresh_reaction_key
where message_reaction.message_key = refresh_reaction_key.message_key
    and message_reaction.recipient = refresh_reaction_key.recipient;

-- What the events of each message amount to. Most messages are plain: opened only, or
-- clicked once, so that sums over their events, and their message, say everything. The
-- others are special: their events are read one by one.
insert into message_reaction by name
with reached as (
    select
        reachable.*,
        refresh_sum.* exclude (message_key, recipient_number),
        is_early_open(first_opened_at, delivered_at) as is_early,
        is_early_open(last_opened_at, delivered_at) as is_early_only,
        is_instant(first_clicked_at, delivered_at) as is_instant,
    from refresh_sum
    inner join refresh_reachable as reachable
        on refresh_sum.message_key = reachable.message_key
        and refresh_sum.recipient_number = recipient_number(reachable.recipient)
    where refresh_sum.others = 0
        and refresh_sum.clicks <= if(threshold('burst_urls') > 1, 1, 0)
)

select
    message_key,
    recipient,
    campaign_id,
    opens,
    clicks,
    0 as changes,
    0 as complaints,
    if(clicks = 0 or is_instant, null, if(has_url, 1, 0)) as least_window_urls,
    accepted,
    attempted_at,
    delivered_at,
    first_opened_at,
    if(is_early, null, first_opened_at) as first_human_opened_at,
    first_clicked_at,
    if(is_early, null, last_opened_at) as last_human_at,
from reached
where is_early = is_early_only;

create or replace temp table refresh_rest as
with rest as (
    select
        refresh_sum.message_key,
        refresh_sum.recipient_number,
    from refresh_sum
    anti join message_reaction
        on refresh_sum.message_key = message_reaction.message_key
        and refresh_sum.recipient_number = recipient_number(message_reaction.recipient)
        and refresh_is_here(message_reaction.message_key)
)

select
    rest.*,
    reachable.* exclude (message_key),
from rest
left join refresh_reachable as reachable
    on rest.message_key = reachable.message_key
    and rest.recipient_number = recipient_number(reachable.recipient);

drop table refresh_sum;

insert into refresh_special
select *
from refresh_rest
where attempted_at is not null;

-- The events that no message id matches.
insert into refresh_unmatched
select refresh_event.*
from refresh_event
semi join (
    select *
    from refresh_rest
    where attempted_at is null
) as orphan
    on refresh_event.message_key = orphan.message_key
    and recipient_number(refresh_event.recipient) = orphan.recipient_number;

drop table refresh_rest;
