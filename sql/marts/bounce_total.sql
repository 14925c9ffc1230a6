-- grain: bounce_category × bounce_class, over all mail, the unattributed included
-- top_provider = the mailbox provider with most of them (top_bounced; of several the
-- first in the alphabet)
create or replace view bounce_total as
with whole as (
    select count(*) as attempted
    from message_base
),

by_provider as (
    select
        category_name(bounce_category) as category,
        bounce_class,
        provider,
        count(*) as bounced,
    from provider_base
    where bounced_at is not null
    group by category, bounce_class, provider
),

top as (
    select
        category,
        bounce_class,
        arg_min(provider, (-bounced, provider)) as provider,
        max(bounced) as bounced,
    from by_provider
    group by category, bounce_class
),

rolled as (
    select
        category_name(bounce_category) as category,
        bounce_class,
        arg_max(advice, (bounced, advice)) as advice,
        arg_max(commonest_dsn_status, (bounced, commonest_dsn_status))
            as commonest_dsn_status,
        cast(sum(bounced) as bigint) as bounced,
        cast(sum(bounced) filter (campaign_id is null) as bigint) as unattributed,
        min(first_bounced_at) as first_bounced_at,
        max(last_bounced_at) as last_bounced_at,
    from bounce_report
    group by category, bounce_class
)

select
    rolled.category as bounce_category,
    rolled.bounce_class,
    rolled.advice,
    rolled.commonest_dsn_status,
    rolled.bounced,
    coalesce(rolled.unattributed, 0) as unattributed,
    top.provider as top_provider,
    top.bounced as top_bounced,
    whole.attempted,
    rate(rolled.bounced, whole.attempted) as bounce_rate,
    wilson_lo(rolled.bounced, whole.attempted) as bounce_rate_lo,
    wilson_hi(rolled.bounced, whole.attempted) as bounce_rate_hi,
    cast(report_time(rolled.first_bounced_at) as date) as first_seen_date,
    cast(report_time(rolled.last_bounced_at) as date) as last_seen_date,
from rolled
inner join top
    on rolled.category = top.category and rolled.bounce_class = top.bounce_class
cross join whole;
