-- Messages that are more than their one row of delivered.
delete from message_dense
where (select is_full from refresh_plan);

delete from message_dense
where message_key in (select message_key from refresh_key);

create or replace temp table refresh_dense as
select message_key
from (
    select message_key
    from delivered
    cross join (select 1 from refresh_plan where is_full) as gate
    union all
    select message_key
    from delivered
    where message_key in (select message_key from refresh_key)
)
group by message_key
having count(*) > 1
union
select message_key
from bounce
cross join (select 1 from refresh_plan where is_full) as gate
union
select message_key
from bounce
where message_key in (select message_key from refresh_key);

insert into message_dense by name
with delivery as (
    select
        message_key,
        recipient_key(recipient) as recipient,
        arg_min(campaign_id, (occurred_at, campaign_id))
            filter (campaign_id is not null) as campaign_id,
        arg_min(sender, (occurred_at, sender)) filter (sender is not null) as sender,
        min(occurred_at) as delivered_at,
    from delivered
    where message_key in (select message_key from refresh_dense)
    group by message_key, recipient_key(recipient)
),

classed as (
    select
        bounce.* replace (recipient_key(bounce.recipient) as recipient),
        bounce_meaning.bounce_class,
        bounce_meaning.meant_category,
        coalesce(
            word_key(bounce.sync_type) = 'async', delivery.delivered_at is not null
        ) as is_async,
    from bounce
    left join bounce_meaning
        on word_key(bounce.bounce_category) is not distinct from bounce_meaning.category
        and bounce.dsn_code is not distinct from bounce_meaning.dsn_code
    left join delivery
        on bounce.message_key = delivery.message_key
        and recipient_key(bounce.recipient) = delivery.recipient
    where bounce.message_key in (select message_key from refresh_dense)
),

bounced as (
    select
        message_key,
        recipient,
        arg_min(campaign_id, (occurred_at, campaign_id))
            filter (campaign_id is not null) as campaign_id,
        arg_min(sender, (occurred_at, sender)) filter (sender is not null) as sender,
        max(occurred_at) as bounced_at,
        max(occurred_at) filter (not is_async) as sync_bounced_at,
        max(occurred_at) filter (is_async) as async_bounced_at,
    from classed
    group by message_key, recipient
),

latest as (
    select *
    from classed
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
    coalesce(delivery.message_key, bounced.message_key) as message_key,
    coalesce(delivery.recipient, bounced.recipient) as recipient,
    coalesce(delivery.campaign_id, bounced.campaign_id) as campaign_id,
    coalesce(delivery.sender, bounced.sender) as sender,
    case
        when latest.is_async then 'async'
        when not latest.is_async then 'sync'
    end as sync_type,
    latest.bounce_class,
    latest.bounce_category,
    latest.meant_category,
    latest.bounce_type,
    latest.dsn_code,
    latest.dsn_status,
    delivery.delivered_at is not null
        and coalesce(bounced.async_bounced_at <= delivery.delivered_at, true) as accepted,
    coalesce(delivery.delivered_at, bounced.bounced_at) as attempted_at,
    delivery.delivered_at,
    bounced.bounced_at,
    bounced.sync_bounced_at,
    bounced.async_bounced_at,
from delivery
full join bounced
    on delivery.message_key = bounced.message_key
    and delivery.recipient = bounced.recipient
left join latest
    on bounced.message_key = latest.message_key
    and bounced.recipient = latest.recipient;
