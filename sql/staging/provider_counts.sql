-- grain: campaign (NULL: unattributed) × mailbox provider
create or replace view provider_counts as
select
    outcome.first_key as campaign_id,
    campaign.campaign_name,
    outcome.second_key as provider,
    outcome.* exclude (first_key, second_key),
    coalesce(campaign.is_tracked, false) as is_tracked,
    if(campaign.is_tracked, outcome.accepted, null) as rated,
    has_complaints() as has_complaints,
from outcome_counts('provider_part', campaign_id, provider) as outcome
left join campaign on outcome.first_key is not distinct from campaign.campaign_id;
