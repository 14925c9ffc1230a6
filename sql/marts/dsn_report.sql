-- grain: dsn_code (NULL: none given) × mailbox provider, of each bounced message's
-- latest bounce; bounce_rate = bounced / the provider's attempted messages
create or replace view dsn_report as
with attempted as (
    select
        provider,
        count(*) as attempted,
        count(bounced_at) as provider_bounced,
    from provider_base
    group by provider
),

bounced as (
    select
        dsn_code,
        provider,
        mode(dsn_status order by dsn_status) as commonest_dsn_status,
        mode(bounce_class order by bounce_class) as commonest_bounce_class,
        mode(bounce_category order by bounce_category) as commonest_bounce_category,
        count(*) as bounced,
        count(*) filter (bounce_class = 'hard') as hard,
        count(*) filter (bounce_class = 'soft') as soft,
        count(*) filter (bounce_class = 'block') as block,
        count(*) filter (bounce_class = 'undetermined') as undetermined,
        count(distinct campaign_id) as campaigns,
        min(bounced_at) as first_bounced_at,
        max(bounced_at) as last_bounced_at,
    from provider_base
    where bounced_at is not null
    group by dsn_code, provider
)

select
    bounced.dsn_code,
    bounced.provider,
    bounced.commonest_dsn_status,
    bounced.commonest_bounce_class,
    bounced.commonest_bounce_category,
    bounced.bounced,
    bounced.hard,
    bounced.soft,
    bounced.block,
    bounced.undetermined,
    bounced.campaigns,
    attempted.attempted,
    rate(bounced.bounced, attempted.attempted) as bounce_rate,
    wilson_lo(bounced.bounced, attempted.attempted) as bounce_rate_lo,
    wilson_hi(bounced.bounced, attempted.attempted) as bounce_rate_hi,
    rate(bounced.bounced, attempted.provider_bounced) as bounce_share,
    attempted.attempted < threshold('small_attempted') as is_small,
    bounced.first_bounced_at,
    bounced.last_bounced_at,
from bounced
inner join attempted on bounced.provider = attempted.provider;
