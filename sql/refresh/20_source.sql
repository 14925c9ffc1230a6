-- The events to work on: all of them, or those of refresh_key. A join with an empty side
-- ends at once, so that of each two branches only one reads.
create or replace temp view refresh_delivered as
select
    message_key,
    recipient_key(recipient) as recipient,
    campaign_id,
    sender,
    occurred_at,
from delivered
cross join (select 1 from refresh_plan where is_full) as gate
union all
select
    touched.message_key,
    recipient_key(touched.recipient) as recipient,
    touched.campaign_id,
    touched.sender,
    touched.occurred_at,
from (
    select *
    from delivered
    where message_key in (select message_key from refresh_key)
) as touched
semi join refresh_key
    on touched.message_key = refresh_key.message_key
    and recipient_key(touched.recipient) = refresh_key.recipient;

create or replace temp table refresh_bounce as
with touched as (
    select *
    from bounce
    where (select is_full from refresh_plan)
        or message_key in (select message_key from refresh_key)
)

select
    touched.* replace (recipient_key(touched.recipient) as recipient),
from touched
where (select is_full from refresh_plan)
    or exists (
        select 1
        from refresh_key
        where refresh_key.message_key = touched.message_key
            and refresh_key.recipient = recipient_key(touched.recipient)
    );

create or replace temp view refresh_reaction as
with event as (
    select
        'open' as kind,
        message_key,
        recipient,
        campaign_id,
        sender,
        null as url,
        null as change,
        occurred_at,
        received_at,
    from open
    union all
    select
        'click' as kind,
        message_key,
        recipient,
        campaign_id,
        sender,
        url,
        null as change,
        occurred_at,
        received_at,
    from click
    union all
    select
        'subscription_changed' as kind,
        message_key,
        recipient,
        campaign_id,
        sender,
        null as url,
        word_key(change) as change,
        occurred_at,
        received_at,
    from subscription_changed
    union all
    select
        'complaint' as kind,
        message_key,
        recipient,
        campaign_id,
        sender,
        null as url,
        null as change,
        occurred_at,
        received_at,
    from other_event
    where word_key(kind) = 'complaint'
)

select event.* replace (recipient_key(recipient) as recipient)
from event
cross join (select 1 from refresh_plan where is_full) as gate
union all
select touched.* replace (recipient_key(recipient) as recipient)
from (
    select *
    from event
    where message_key in (select message_key from refresh_key)
) as touched
semi join refresh_key
    on touched.message_key = refresh_key.message_key
    and recipient_key(touched.recipient) = refresh_key.recipient;
