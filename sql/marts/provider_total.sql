-- grain: mailbox provider, over all mail; counts as in outcome_counts, rates as in
-- outcome_rates, but those of reactions are of tracked_accepted, the accepted messages
-- of tracked campaigns; stands_out = the rate of all mail lies outside the provider's
-- interval, and enough messages tell it (seen_enough); never by opens of one that
-- prefetches
create or replace view provider_total as
with report as materialized (
    select * from outcome_rates('provider_total_counts')
),

whole as (
    select
        rate(sum(bounced), sum(attempted)) as all_bounce_rate,
        rate(sum(opened_human), sum(rated)) as all_open_human_rate,
        rate(sum(clicked_human), sum(rated)) as all_click_human_rate,
    from report
)

select
    report.* exclude (rated, has_complaints),
    whole.all_bounce_rate,
    coalesce(
        differs_from(report.bounced, report.attempted, whole.all_bounce_rate),
        false
    ) as bounce_stands_out,
    whole.all_open_human_rate,
    not prefetches(report.provider) and coalesce(
        differs_from(report.opened_human, report.rated, whole.all_open_human_rate),
        false
    ) as open_stands_out,
    whole.all_click_human_rate,
    coalesce(
        differs_from(report.clicked_human, report.rated, whole.all_click_human_rate),
        false
    ) as click_stands_out,
from report
cross join whole;
