-- grain: one row: how old and how large what is loaded is; 0 and NULL before the first
-- load; orphans = events that reached no message; young_campaigns = those whose rates
-- still rise (not is_final, which comes comparable_hours after the last delivery)
create or replace view freshness as
with volume as (
    select
        cast(coalesce(sum(events), 0) as bigint) as events,
        (select cast(coalesce(sum(duplicates), 0) as bigint) from ingest_ledger)
            as duplicates,
        cast(coalesce(sum(opens_clicks), 0) as bigint) as opens_clicks,
        cast(coalesce(sum(matched_by_message_id), 0) as bigint)
            as matched_by_message_id,
        cast(coalesce(sum(orphans), 0) as bigint) as orphans,
    from data_quality
),

loaded as (
    select
        arg_max(finished_at, rowid) as last_load_at,
        max(last_received_at) as last_received_at,
    from ingest_ledger
),

whole as (
    select
        count(campaign_id) as campaigns,
        count(campaign_id) filter (not is_final(last_delivered_at)) as young_campaigns,
        cast(coalesce(sum(attempted), 0) as bigint) as messages,
        min(first_delivered_at) as first_delivered_at,
        max(last_delivered_at) as last_delivered_at,
    from campaign_counts
)

select
    report_timezone() as timezone,
    volume.events,
    volume.duplicates,
    (select count(*) from quarantine) as quarantined,
    (
        select count(*) from campaign where urls = 1 and campaign_id is not null
    ) as single_link_campaigns,
    whole.campaigns,
    whole.young_campaigns,
    whole.messages,
    volume.orphans,
    threshold('comparable_hours') as comparable_hours,
    rate(volume.matched_by_message_id, volume.opens_clicks) as match_rate,
    wilson_lo(volume.matched_by_message_id, volume.opens_clicks) as match_rate_lo,
    wilson_hi(volume.matched_by_message_id, volume.opens_clicks) as match_rate_hi,
    hours_between(loaded.last_load_at, report_now()) as load_age_hours,
    hours_between(loaded.last_received_at, report_now()) as event_age_hours,
    cast(report_time(whole.first_delivered_at) as date) as first_delivered_date,
    cast(report_time(whole.last_delivered_at) as date) as last_delivered_date,
    report_time(report_now()) as as_of_local,
    report_time(loaded.last_load_at) as last_load_at_local,
    report_time(loaded.last_received_at) as last_received_at_local,
from volume
cross join loaded
cross join whole;
