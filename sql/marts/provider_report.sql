-- grain: campaign (NULL: unattributed) × mailbox provider
-- counts as in outcome_counts, rates as in outcome_rates; stands_out = the campaign's own
-- rate (opens and clicks: by people) lies outside this provider's interval
create or replace view provider_report as
select
    report.* exclude (is_tracked, has_complaints),
    report.is_tracked,
    rate(sum(report.accepted) over campaign_row, sum(report.attempted) over campaign_row)
        as campaign_delivery_rate,
    rate(sum(report.bounced) over campaign_row, sum(report.attempted) over campaign_row)
        as campaign_bounce_rate,
    rate(sum(report.opened) over campaign_row, sum(report.accepted) over campaign_row)
        as campaign_open_rate,
    rate(sum(report.clicked) over campaign_row, sum(report.accepted) over campaign_row)
        as campaign_click_rate,
    rate(sum(report.bounced) over campaign_row, sum(report.attempted) over campaign_row)
        not between report.bounce_rate_lo and report.bounce_rate_hi as bounce_stands_out,
    rate(sum(report.opened_human) over campaign_row, sum(report.accepted) over campaign_row)
        not between report.open_human_rate_lo and report.open_human_rate_hi
        as open_stands_out,
    rate(sum(report.clicked_human) over campaign_row, sum(report.accepted) over campaign_row)
        not between report.click_human_rate_lo and report.click_human_rate_hi
        as click_stands_out,
from outcome_rates('provider_counts') as report
window campaign_row as (partition by report.campaign_id);
