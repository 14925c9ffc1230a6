-- Messages. Most were delivered once and did not bounce: they go straight through, in
-- order and without a group by; refresh_dense holds the message keys of all the others.
delete from message_base
where (select is_full from refresh_plan);

delete from message_base
using refresh_key
where message_base.message_key = refresh_key.message_key
    and message_base.recipient = refresh_key.recipient;

create or replace temp table refresh_dense as
select message_key
from refresh_delivered
group by message_key
having count(*) > 1
union
select message_key
from refresh_bounce;

insert into message_base by name
select
    single.message_key,
    single.recipient,
    single.campaign_id,
    address_domain(single.recipient) as recipient_domain,
    coalesce(provider_domain.provider, 'other') as provider,
    address_domain(single.sender) as sender_domain,
    true as accepted,
    single.occurred_at as attempted_at,
    single.occurred_at as delivered_at,
from refresh_delivered as single
anti join refresh_dense using (message_key)
left join provider_domain
    on address_domain(single.recipient) = provider_domain.domain;

insert into message_base by name
with delivery as (
    select
        message_key,
        recipient,
        arg_min(campaign_id, (occurred_at, campaign_id))
            filter (campaign_id is not null) as campaign_id,
        arg_min(sender, (occurred_at, sender)) filter (sender is not null) as sender,
        min(occurred_at) as delivered_at,
    from refresh_delivered
    where message_key in (select message_key from refresh_dense)
    group by message_key, recipient
),

classed as (
    select
        refresh_bounce.*,
        bounce_meaning.bounce_class,
        bounce_meaning.meant_category,
        delivery.delivered_at,
        coalesce(
            word_key(refresh_bounce.sync_type) = 'async',
            delivery.delivered_at is not null
        ) as is_async,
    from refresh_bounce
    left join bounce_meaning
        on word_key(refresh_bounce.bounce_category)
        is not distinct from bounce_meaning.category
        and refresh_bounce.dsn_code is not distinct from bounce_meaning.dsn_code
    left join delivery
        on refresh_bounce.message_key = delivery.message_key
        and refresh_bounce.recipient = delivery.recipient
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
    address_domain(coalesce(delivery.recipient, bounced.recipient)) as recipient_domain,
    coalesce(provider_domain.provider, 'other') as provider,
    address_domain(coalesce(delivery.sender, bounced.sender)) as sender_domain,
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
    and bounced.recipient = latest.recipient
left join provider_domain
    on address_domain(coalesce(delivery.recipient, bounced.recipient))
    = provider_domain.domain;
