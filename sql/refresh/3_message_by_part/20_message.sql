-- Messages that are more than their one row of delivered.
delete from message_dense
where message_key in (select message_key from refresh_key);

create or replace temp table refresh_dense as
select message_key
from refresh_delivered
group by message_key
having count(*) > 1
union
select message_key
from bounce
cross join (select 1 from refresh_plan where is_full) as gate
where refresh_is_here(message_key)
union
select message_key
from bounce
where message_key in (select message_key from refresh_key);

-- Of these few were delivered, and few bounced more than once: only they are summed up,
-- so that memory does not grow with the bounces.
create or replace temp table refresh_delivery as
select
    message_key,
    recipient_key(recipient) as recipient,
    arg_min(campaign_id, (occurred_at, campaign_id))
        filter (campaign_id is not null) as campaign_id,
    arg_min(sender, (occurred_at, sender)) filter (sender is not null) as sender,
    min(occurred_at) as delivered_at,
from refresh_delivered
where message_key in (select message_key from refresh_dense)
group by message_key, recipient_key(recipient);

create or replace temp view refresh_bounce as
select
    bounce.* replace (recipient_key(bounce.recipient) as recipient),
    bounce_meaning.bounce_class,
    bounce_meaning.meant_category,
    delivery.campaign_id as delivery_campaign_id,
    delivery.sender as delivery_sender,
    delivery.delivered_at,
    is_async(bounce.sync_type, delivery.delivered_at) as is_async,
from bounce
left join bounce_meaning
    on word_key(bounce.bounce_category) is not distinct from bounce_meaning.category
    and bounce.dsn_code is not distinct from bounce_meaning.dsn_code
left join refresh_delivery as delivery
    on bounce.message_key = delivery.message_key
    and recipient_key(bounce.recipient) = delivery.recipient
where bounce.message_key in (select message_key from refresh_dense);

create or replace temp table refresh_often as
select message_key
from bounce
where message_key in (select message_key from refresh_dense)
group by message_key
having count(*) > 1;

insert into message_dense by name
select
    message_key,
    recipient,
    coalesce(delivery_campaign_id, campaign_id) as campaign_id,
    coalesce(delivery_sender, sender) as sender,
    if(is_async, 'async', 'sync') as sync_type,
    bounce_class,
    bounce_category,
    meant_category,
    bounce_type,
    dsn_code,
    dsn_status,
    delivered_at is not null and not (is_async and occurred_at > delivered_at)
        as accepted,
    coalesce(delivered_at, occurred_at) as attempted_at,
    delivered_at,
    occurred_at as bounced_at,
    if(is_async, null, occurred_at) as sync_bounced_at,
    if(is_async, occurred_at, null) as async_bounced_at,
from refresh_bounce
anti join refresh_often using (message_key);

insert into message_dense by name
with bounced as (
    select
        message_key,
        recipient,
        arg_min(campaign_id, (occurred_at, campaign_id))
            filter (campaign_id is not null) as campaign_id,
        arg_min(sender, (occurred_at, sender)) filter (sender is not null) as sender,
        max(occurred_at) as bounced_at,
        max(occurred_at) filter (not is_async) as sync_bounced_at,
        max(occurred_at) filter (is_async) as async_bounced_at,
    from refresh_bounce
    where message_key in (select message_key from refresh_often)
    group by message_key, recipient
),

latest as (
    select *
    from refresh_bounce
    where message_key in (select message_key from refresh_often)
    qualify row_number() over (
        partition by message_key, recipient
        order by
            occurred_at desc,
            word_key(bounce_category) nulls last,
            bounce_category nulls last,
            dsn_code nulls last,
            sync_type nulls last,
            bounce_type nulls last,
            dsn_status nulls last
    ) = 1
)

select
    latest.message_key,
    latest.recipient,
    coalesce(latest.delivery_campaign_id, bounced.campaign_id) as campaign_id,
    coalesce(latest.delivery_sender, bounced.sender) as sender,
    if(latest.is_async, 'async', 'sync') as sync_type,
    latest.bounce_class,
    latest.bounce_category,
    latest.meant_category,
    latest.bounce_type,
    latest.dsn_code,
    latest.dsn_status,
    latest.delivered_at is not null
        and coalesce(bounced.async_bounced_at <= latest.delivered_at, true) as accepted,
    coalesce(latest.delivered_at, bounced.bounced_at) as attempted_at,
    latest.delivered_at,
    bounced.bounced_at,
    bounced.sync_bounced_at,
    bounced.async_bounced_at,
from latest
inner join bounced
    on latest.message_key = bounced.message_key
    and latest.recipient = bounced.recipient;

insert into message_dense by name
with bounced as (
    select
        message_key,
        recipient_key(recipient) as recipient,
    from bounce
    where message_key in (select message_key from refresh_delivery)
)

select
    message_key,
    recipient,
    campaign_id,
    sender,
    true as accepted,
    delivered_at as attempted_at,
    delivered_at,
from refresh_delivery
anti join bounced using (message_key, recipient);
