-- The events that no message id matches: each reaches the message of its campaign and
-- recipient that was delivered last before it, or else first, or none.
delete from event_fallback
where recipient in (select recipient from refresh_recipient);

create or replace temp table refresh_fallback as
with wanted as (
    select distinct
        campaign_id,
        recipient,
    from refresh_unmatched
    where campaign_id is not null
),

candidate as (
    select
        message.campaign_id,
        message.recipient,
        message.delivered_at,
        min(message.message_key) as message_key,
        arg_min(message.accepted, message.message_key) as accepted,
    from refresh_reachable as message
    semi join wanted
        on message.campaign_id = wanted.campaign_id
        and message.recipient = wanted.recipient
    where message.delivered_at is not null
    group by message.campaign_id, message.recipient, message.delivered_at
),

earliest as (
    select
        campaign_id,
        recipient,
        arg_min(message_key, delivered_at) as message_key,
        arg_min(accepted, delivered_at) as accepted,
        min(delivered_at) as delivered_at,
    from candidate
    group by campaign_id, recipient
)

select
    unmatched.* exclude (message_key, campaign_id),
    unmatched.message_key as event_key,
    unmatched.campaign_id as named_campaign_id,
    coalesce(candidate.message_key, earliest.message_key) as message_key,
    if(earliest.message_key is null, null, unmatched.campaign_id) as campaign_id,
    if(earliest.message_key is null, 'none', 'campaign') as matched_by,
    coalesce(candidate.accepted, earliest.accepted) as accepted,
    coalesce(candidate.delivered_at, earliest.delivered_at) as attempted_at,
    coalesce(candidate.delivered_at, earliest.delivered_at) as delivered_at,
from refresh_unmatched as unmatched
asof left join candidate
    on unmatched.campaign_id = candidate.campaign_id
    and unmatched.recipient = candidate.recipient
    and unmatched.occurred_at >= candidate.delivered_at
left join earliest
    on unmatched.campaign_id = earliest.campaign_id
    and unmatched.recipient = earliest.recipient;

insert into event_fallback by name
select *
from refresh_fallback;

-- What is reached by campaign is special.
create or replace temp table refresh_target as
select distinct
    message_key,
    recipient_number(recipient) as recipient_number,
    recipient,
    campaign_id,
    accepted,
    attempted_at,
    delivered_at,
from refresh_fallback
where matched_by = 'campaign';

delete from message_reaction
using refresh_target
where message_reaction.message_key = refresh_target.message_key
    and recipient_number(message_reaction.recipient) = refresh_target.recipient_number;

insert into refresh_special
select *
from refresh_target
anti join refresh_special using (message_key, recipient_number);
