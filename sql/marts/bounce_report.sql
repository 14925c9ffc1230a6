-- grain: campaign (NULL: unattributed) × bounce_category × bounce_class × sync_type, of
-- each bounced message's latest bounce
-- bounce_rate = bounced / the campaign's attempted messages; disagreed = bounced
-- messages whose provider's bounce_type says hard or soft where our class says the
-- other
create or replace view bounce_report as
with attempted as (
    select
        campaign_id,
        count(*) as attempted,
        count(bounced_at) as campaign_bounced,
    from message_base
    group by campaign_id
),

bounced as (
    select
        campaign_id,
        bounce_category,
        bounce_class,
        sync_type,
        mode(meant_category order by meant_category) as meant_category,
        mode(dsn_status order by dsn_status) as commonest_dsn_status,
        mode(bounce_type order by bounce_type) as commonest_bounce_type,
        count(*) as bounced,
        count(*) filter (
            word_key(bounce_type) in ('hard', 'soft')
            and bounce_class in ('hard', 'soft')
            and word_key(bounce_type) <> bounce_class
        ) as disagreed,
        min(bounced_at) as first_bounced_at,
        max(bounced_at) as last_bounced_at,
    from message_base
    where bounced_at is not null
    group by campaign_id, bounce_category, bounce_class, sync_type
)

select
    bounced.campaign_id,
    campaign.campaign_name,
    bounced.bounce_category,
    bounced.bounce_class,
    bounced.sync_type,
    coalesce(bounce_class.advice, 'Keep the address, and report what is new.')
        as advice,
    bounced.commonest_dsn_status,
    bounced.commonest_bounce_type,
    bounced.bounced,
    attempted.attempted,
    rate(bounced.bounced, attempted.attempted) as bounce_rate,
    wilson_lo(bounced.bounced, attempted.attempted) as bounce_rate_lo,
    wilson_hi(bounced.bounced, attempted.attempted) as bounce_rate_hi,
    rate(bounced.bounced, attempted.campaign_bounced) as bounce_share,
    bounced.disagreed,
    bounced.first_bounced_at,
    bounced.last_bounced_at,
from bounced
left join attempted on bounced.campaign_id is not distinct from attempted.campaign_id
left join campaign on bounced.campaign_id = campaign.campaign_id
left join bounce_class on bounced.meant_category = bounce_class.bounce_category;
