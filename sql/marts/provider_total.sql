-- grain: mailbox provider, over all mail; counts as in outcome_counts, rates as in
-- outcome_rates, but those of reactions are of tracked_accepted, the accepted messages
-- of tracked campaigns; stands_out = the rate of all mail lies outside the provider's
-- interval, and at least 5 messages, seen or expected, tell it
create or replace view provider_total as
with report as (
    select * from outcome_rates('provider_total_counts')
)

select
    report.* exclude (rated, has_complaints),
    rate(sum(bounced) over (), sum(attempted) over ()) as all_bounce_rate,
    coalesce(differs_from(bounced, attempted, all_bounce_rate), false)
        as bounce_stands_out,
    rate(sum(opened_human) over (), sum(rated) over ()) as all_open_human_rate,
    coalesce(differs_from(opened_human, rated, all_open_human_rate), false)
        as open_stands_out,
    rate(sum(clicked_human) over (), sum(rated) over ()) as all_click_human_rate,
    coalesce(differs_from(clicked_human, rated, all_click_human_rate), false)
        as click_stands_out,
from report;
