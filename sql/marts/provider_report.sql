-- grain: campaign (NULL: unattributed) × mailbox provider
-- counts as in outcome_counts, rates as in outcome_rates; stands_out = the campaign's
-- own rate (opens and clicks: by people) lies outside this provider's interval, and at
-- least 5 messages, seen or expected, tell it
-- bounce_is_unusual = more bounced here than at the campaign's other providers, and
-- than here in the campaigns before it (campaign_peer) where there are any: pooled z
-- tests at 5 %, the first divided by the number of providers (Bonferroni), for they are
-- all looked at
create or replace view provider_report as
with report as materialized (
    select * from outcome_rates('provider_counts')
),

usual as (
    select
        campaign_peer.campaign_id,
        peer.provider,
        sum(peer.attempted) as attempted,
        sum(peer.bounced) as bounced,
    from campaign_peer
    inner join report as peer on campaign_peer.peer_id = peer.campaign_id
    group by campaign_peer.campaign_id, peer.provider
),

marked as (
    select
        report.* exclude (is_tracked, has_complaints),
        report.is_tracked,
        rate(
            sum(report.accepted) over campaign_row,
            sum(report.attempted) over campaign_row
        ) as campaign_delivery_rate,
        rate(
            sum(report.bounced) over campaign_row,
            sum(report.attempted) over campaign_row
        ) as campaign_bounce_rate,
        rate(sum(report.opened) over campaign_row, sum(report.rated) over campaign_row)
            as campaign_open_rate,
        rate(sum(report.clicked) over campaign_row, sum(report.rated) over campaign_row)
            as campaign_click_rate,
        rate(
            sum(report.opened_human) over campaign_row,
            sum(report.rated) over campaign_row
        ) as campaign_open_human_rate,
        rate(
            sum(report.clicked_human) over campaign_row,
            sum(report.rated) over campaign_row
        ) as campaign_click_human_rate,
        rate(usual.bounced, usual.attempted) as usual_bounce_rate,
        two_rates_p(
            report.bounced,
            report.attempted,
            sum(report.bounced) over campaign_row - report.bounced,
            sum(report.attempted) over campaign_row - report.attempted
        ) * count(*) over campaign_row as p_against_others,
        two_rates_p(report.bounced, report.attempted, usual.bounced, usual.attempted)
            as p_against_usual,
    from report
    left join usual
        on report.campaign_id = usual.campaign_id and report.provider = usual.provider
    window campaign_row as (partition by report.campaign_id)
)

select
    * exclude (rated, p_against_others, p_against_usual),
    differs_from(bounced, attempted, campaign_bounce_rate) as bounce_stands_out,
    differs_from(opened_human, rated, campaign_open_human_rate) as open_stands_out,
    differs_from(clicked_human, rated, campaign_click_human_rate) as click_stands_out,
    coalesce(
        seen_enough(bounced, attempted, campaign_bounce_rate)
        and bounce_rate > greatest(campaign_bounce_rate, usual_bounce_rate)
        and p_against_others < threshold('significance')
        and coalesce(p_against_usual < threshold('significance'), true),
        false
    ) as bounce_is_unusual,
from marked;
