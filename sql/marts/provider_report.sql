-- grain: campaign (NULL: unattributed) × mailbox provider
-- counts as in outcome_counts, rates as in outcome_rates; stands_out = the campaign's
-- own rate (opens and clicks: by people) lies outside this provider's interval, and
-- enough messages tell it (seen_enough); never by opens of one that prefetches
-- bounce_is_unusual = more bounced here than at the campaign's other providers, and
-- than here in the campaigns before it (campaign_peer) where there are any: pooled z
-- tests at significance, divided by the number of providers (Bonferroni), for they are
-- all looked at; and more than campaigns differ by here anyway: above the 99 %
-- prediction interval of the rates here of those before, where they are enough to be
-- peers (least_peers; of two it spans nearly everything)
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
        avg(peer.bounce_rate) as mean,
        if(
            count(*) >= threshold('least_peers'),
            prediction_reach(peer.bounce_rate, 99),
            null
        ) as reach,
    from campaign_peer
    inner join report as peer on campaign_peer.peer_id = peer.campaign_id
    group by campaign_peer.campaign_id, peer.provider
),

whole as (
    select
        campaign_id,
        count(*) as providers,
        sum(attempted) as attempted,
        sum(accepted) as accepted,
        sum(bounced) as bounced,
        sum(rated) as rated,
        sum(opened) as opened,
        sum(clicked) as clicked,
        sum(opened_human) as opened_human,
        sum(clicked_human) as clicked_human,
    from report
    group by campaign_id
),

marked as (
    select
        report.* exclude (is_tracked, has_complaints),
        report.is_tracked,
        rate(whole.accepted, whole.attempted) as campaign_delivery_rate,
        rate(whole.bounced, whole.attempted) as campaign_bounce_rate,
        rate(whole.opened, whole.rated) as campaign_open_rate,
        rate(whole.clicked, whole.rated) as campaign_click_rate,
        rate(whole.opened_human, whole.rated) as campaign_open_human_rate,
        rate(whole.clicked_human, whole.rated) as campaign_click_human_rate,
        rate(usual.bounced, usual.attempted) as usual_bounce_rate,
        two_rates_p(
            report.bounced,
            report.attempted,
            whole.bounced - report.bounced,
            whole.attempted - report.attempted
        ) * whole.providers as p_against_others,
        two_rates_p(report.bounced, report.attempted, usual.bounced, usual.attempted)
            * whole.providers as p_against_usual,
        report.bounce_rate - usual.mean > usual.reach as is_beyond_usual,
    from report
    inner join whole on report.campaign_id is not distinct from whole.campaign_id
    left join usual
        on report.campaign_id = usual.campaign_id and report.provider = usual.provider
)

select
    * exclude (rated, p_against_others, p_against_usual, is_beyond_usual),
    differs_from(bounced, attempted, campaign_bounce_rate) as bounce_stands_out,
    not prefetches(provider)
    and differs_from(opened_human, rated, campaign_open_human_rate) as open_stands_out,
    differs_from(clicked_human, rated, campaign_click_human_rate) as click_stands_out,
    coalesce(
        seen_enough(bounced, attempted, campaign_bounce_rate)
        and bounce_rate > greatest(campaign_bounce_rate, usual_bounce_rate)
        and p_against_others < threshold('significance')
        and coalesce(p_against_usual < threshold('significance'), true)
        and coalesce(is_beyond_usual, true),
        false
    ) as bounce_is_unusual,
from marked;
