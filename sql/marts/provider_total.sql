-- grain: mailbox provider, over all mail; counts as in outcome_counts, rates as in
-- outcome_rates; stands_out = the rate of all mail lies outside the provider's interval
create or replace view provider_total as
with report as (
    select * from outcome_rates('provider_total_counts')
)

select
    report.* exclude (has_complaints),
    coalesce(
        not is_small and rate(sum(bounced) over (), sum(attempted) over ())
        not between bounce_rate_lo and bounce_rate_hi,
        false
    ) as bounce_stands_out,
    coalesce(
        not is_small and rate(sum(opened_human) over (), sum(accepted) over ())
        not between open_human_rate_lo and open_human_rate_hi,
        false
    ) as open_stands_out,
    coalesce(
        not is_small and rate(sum(clicked_human) over (), sum(accepted) over ())
        not between click_human_rate_lo and click_human_rate_hi,
        false
    ) as click_stands_out,
from report;
