-- grain: campaign × mailbox provider
create or replace view provider_counts as
select
    outcome.first_key as campaign_id,
    campaign.campaign_name,
    outcome.second_key as provider,
    outcome.* exclude (first_key, second_key),
    exists (
        select 1
        from campaign_tracking
        where campaign_tracking.campaign_id is not distinct from outcome.first_key
    ) as is_tracked,
    has_complaints() as has_complaints,
from outcome_counts(campaign_id, provider) as outcome
left join campaign on outcome.first_key = campaign.campaign_id;
