-- The events that no message id matches: each reaches the message of its campaign and
-- recipient that was delivered last before it, or else first, or none.
create or replace temp table refresh_sum as
select
    message_key,
    recipient_number(recipient) as recipient_number,
    count(*) filter (kind = 'open') as opens,
    count(*) filter (kind = 'click') as clicks,
    count(*) filter (kind not in ('open', 'click')) as others,
    bool_or(url is not null) as has_url,
    min(occurred_at) filter (kind = 'open') as first_opened_at,
    max(occurred_at) filter (kind = 'open') as last_opened_at,
    min(occurred_at) filter (kind = 'click') as first_clicked_at,
from refresh_event
group by message_key, recipient_number(recipient);

create or replace temp table refresh_unmatched as
select refresh_event.*
from refresh_event
semi join (
    select
        refresh_sum.message_key,
        refresh_sum.recipient_number,
    from refresh_sum
    anti join refresh_reachable as reachable
        on refresh_sum.message_key = reachable.message_key
        and refresh_sum.recipient_number = recipient_number(reachable.recipient)
) as orphan
    on refresh_event.message_key = orphan.message_key
    and recipient_number(refresh_event.recipient) = orphan.recipient_number;

delete from event_fallback
where (select is_full from refresh_plan);

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
