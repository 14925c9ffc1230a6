-- grain: campaign (NULL: unattributed) × bounce_category × bounce_class, sync and async
-- together; rates are of the campaign's attempted messages
create or replace view bounce_category as
with rolled as (
    select
        campaign_id,
        any_value(campaign_name) as campaign_name,
        category_name(bounce_category) as category,
        bounce_class,
        arg_max(advice, (bounced, advice)) as advice,
        arg_max(commonest_dsn_status, (bounced, commonest_dsn_status))
            as commonest_dsn_status,
        cast(sum(bounced) as bigint) as bounced,
        any_value(attempted) as attempted,
    from bounce_report
    group by campaign_id, category, bounce_class
)

select
    campaign_id,
    campaign_name,
    category as bounce_category,
    bounce_class,
    advice,
    commonest_dsn_status,
    bounced,
    attempted,
    rate(bounced, attempted) as bounce_rate,
    wilson_lo(bounced, attempted) as bounce_rate_lo,
    wilson_hi(bounced, attempted) as bounce_rate_hi,
from rolled;
