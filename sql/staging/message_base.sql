-- grain: one row per message with a delivered or a bounce event, without its reactions
create or replace view message_base as
with delivery as (
    select
        message_key,
        recipient_key(recipient) as recipient,
        arg_min(campaign_id, (occurred_at, campaign_id))
            filter (campaign_id is not null) as campaign_id,
        arg_min(address_domain(sender), (occurred_at, sender))
            filter (sender is not null) as sender_domain,
        min(occurred_at) as delivered_at,
    from delivered
    group by message_key, recipient_key(recipient)
),

bounced as (
    select
        message_key,
        recipient,
        arg_min(campaign_id, (occurred_at, campaign_id))
            filter (campaign_id is not null) as campaign_id,
        arg_min(sender_domain, (occurred_at, sender_domain))
            filter (sender_domain is not null) as sender_domain,
        max(occurred_at) as bounced_at,
        max(occurred_at) filter (not is_async) as sync_bounced_at,
        max(occurred_at) filter (is_async) as async_bounced_at,
    from bounce_event
    group by message_key, recipient
),

latest_bounce as (
    select
        message_key,
        recipient,
        bounce_category,
        bounce_class,
        meant_category,
        bounce_type,
        dsn_code,
        dsn_status,
        is_async,
    from bounce_event
    qualify row_number() over (
        partition by message_key, recipient
        order by
            occurred_at desc,
            category_key nulls last,
            bounce_category,
            dsn_code nulls last,
            sync_word nulls last,
            bounce_type nulls last,
            dsn_status nulls last
    ) = 1
)

select
    coalesce(delivery.message_key, bounced.message_key) as message_key,
    coalesce(delivery.recipient, bounced.recipient) as recipient,
    coalesce(delivery.campaign_id, bounced.campaign_id) as campaign_id,
    coalesce(delivery.sender_domain, bounced.sender_domain) as sender_domain,
    latest_bounce.bounce_category,
    latest_bounce.bounce_class,
    latest_bounce.meant_category,
    latest_bounce.bounce_type,
    latest_bounce.dsn_code,
    latest_bounce.dsn_status,
    case
        when latest_bounce.is_async then 'async'
        when not latest_bounce.is_async then 'sync'
    end as sync_type,
    delivery.delivered_at is not null
        and coalesce(bounced.async_bounced_at <= delivery.delivered_at, true) as accepted,
    delivery.delivered_at,
    bounced.bounced_at,
    bounced.sync_bounced_at,
    bounced.async_bounced_at,
from delivery
full join bounced
    on delivery.message_key = bounced.message_key
    and delivery.recipient = bounced.recipient
left join latest_bounce
    on bounced.message_key = latest_bounce.message_key
    and bounced.recipient = latest_bounce.recipient;
