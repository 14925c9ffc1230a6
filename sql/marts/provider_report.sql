-- grain: campaign (NULL: unattributed) × mailbox provider
-- counts as in outcome_counts, rates as in outcome_rates; stands_out = the campaign's own
-- rate (opens and clicks: by people) lies outside this provider's interval, and at least 5
-- messages, seen or expected, tell it
create or replace view provider_report as
select
    report.* exclude (is_tracked, rated, has_complaints),
    report.is_tracked,
    rate(sum(report.accepted) over campaign_row, sum(report.attempted) over campaign_row)
        as campaign_delivery_rate,
    rate(sum(report.bounced) over campaign_row, sum(report.attempted) over campaign_row)
        as campaign_bounce_rate,
    rate(sum(report.opened) over campaign_row, sum(report.rated) over campaign_row)
        as campaign_open_rate,
    rate(sum(report.clicked) over campaign_row, sum(report.rated) over campaign_row)
        as campaign_click_rate,
    differs_from(report.bounced, report.attempted, campaign_bounce_rate)
        as bounce_stands_out,
    differs_from(
        report.opened_human,
        report.rated,
        rate(
            sum(report.opened_human) over campaign_row,
            sum(report.rated) over campaign_row
        )
    ) as open_stands_out,
    differs_from(
        report.clicked_human,
        report.rated,
        rate(
            sum(report.clicked_human) over campaign_row,
            sum(report.rated) over campaign_row
        )
    ) as click_stands_out,
from outcome_rates('provider_counts') as report
window campaign_row as (partition by report.campaign_id);
