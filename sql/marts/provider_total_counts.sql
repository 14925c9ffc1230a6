-- grain: mailbox provider, over all mail: counts as in outcome_counts; tracked_accepted
-- = accepted messages of tracked campaigns, which rates of reactions are of
create or replace view provider_total_counts as
select
    outcome.first_key as provider,
    outcome.* exclude (first_key, second_key),
    outcome.accepted - coalesce(provider_untracked.untracked, 0) as tracked_accepted,
    tracked_accepted > 0 as is_tracked,
    tracked_accepted as rated,
    has_complaints() as has_complaints,
from outcome_counts('provider_part', provider, null) as outcome
left join provider_untracked on outcome.first_key = provider_untracked.provider;
