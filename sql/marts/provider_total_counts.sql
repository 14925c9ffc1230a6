-- grain: mailbox provider, over all mail: counts as in outcome_counts
create or replace view provider_total_counts as
select
    outcome.first_key as provider,
    outcome.* exclude (first_key, second_key),
    exists (from campaign_tracking) as is_tracked,
    has_complaints() as has_complaints,
from outcome_counts('provider_part', provider, null) as outcome;
