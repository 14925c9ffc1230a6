-- grain: campaign of which something was delivered: the unattributed bounces of its
-- time, which is from unattributed_before_hours before its first delivery to
-- unattributed_after_hours after its last, but those that cannot be its own, as their
-- sender domain delivers mail, and none of the campaign's; one that delivers nothing,
-- as a bounce domain's, may be anyone's
create or replace view unattributed_nearby as
with mailing as (
    select
        campaign_id,
        sender,
        min(delivered_at) as first_delivered_at,
        max(delivered_at) as last_delivered_at,
    from message_base
    where delivered_at is not null
    group by campaign_id, sender
),

domain as (
    select distinct address_domain(sender) as sender_domain
    from (select distinct sender from delivered)
),

bounced as materialized (
    select
        domain.sender_domain,
        message_dense.bounced_at,
        sum(count(*)) over (
            partition by domain.sender_domain
            order by message_dense.bounced_at
        ) as bounced_until,
    from message_dense
    inner join domain on address_domain(message_dense.sender) = domain.sender_domain
    where message_dense.campaign_id is null and message_dense.bounced_at is not null
    group by domain.sender_domain, message_dense.bounced_at
),

campaign_time as (
    select
        campaign_id,
        list(distinct coalesce(address_domain(sender), '')) as sender_domains,
        min(first_delivered_at) - threshold_time('unattributed_before_hours')
            as time_from,
        max(last_delivered_at) + threshold_time('unattributed_after_hours')
            as time_until,
    from mailing
    where campaign_id is not null
    group by campaign_id
),

other as (
    select
        campaign_time.campaign_id,
        bouncing.sender_domain,
        campaign_time.time_from,
        campaign_time.time_until,
    from campaign_time
    cross join (select distinct sender_domain from bounced) as bouncing
    where not list_contains(campaign_time.sender_domains, bouncing.sender_domain)
        and not list_contains(campaign_time.sender_domains, '')
),

elsewhere as (
    select
        other.campaign_id,
        sum(coalesce(late.bounced_until, 0) - coalesce(early.bounced_until, 0))
            as bounces,
    from other
    asof left join bounced as late
        on other.sender_domain = late.sender_domain
        and other.time_until >= late.bounced_at
    asof left join bounced as early
        on other.sender_domain = early.sender_domain
        and other.time_from > early.bounced_at
    group by other.campaign_id
)

select
    campaign_time.campaign_id,
    cast(
        coalesce(late.bounced_until, 0) - coalesce(early.bounced_until, 0)
        - coalesce(elsewhere.bounces, 0)
        as bigint
    ) as unattributed_nearby,
from campaign_time
left join elsewhere on campaign_time.campaign_id = elsewhere.campaign_id
asof left join unattributed_until as late
    on campaign_time.time_until >= late.bounced_at
asof left join unattributed_until as early
    on campaign_time.time_from > early.bounced_at;
