-- grain: campaign × stage of what became of its messages; share_of_previous is of the
-- stage before, that of unsubscribed is of accepted; NULL where a campaign is not
-- tracked
create or replace view campaign_funnel as
with stage as (
    select
        campaign_id,
        attempted,
        is_tracked,
        unnest([
            {'n': 1, 'stage': 'attempted', 'messages': attempted, 'previous': null},
            {'n': 2, 'stage': 'accepted', 'messages': accepted, 'previous': attempted},
            {
                'n': 3,
                'stage': 'opened or clicked',
                'messages': confirmed_opened,
                'previous': accepted,
            },
            {
                'n': 4,
                'stage': 'clicked by people',
                'messages': clicked_human,
                'previous': confirmed_opened,
            },
            {
                'n': 5,
                'stage': 'unsubscribed',
                'messages': unsubscribed,
                'previous': accepted,
            },
        ]) as step,
    from campaign_counts
    where campaign_id is not null
)

select
    campaign_id,
    step.stage as stage,
    step.n as stage_number,
    if(is_tracked or step.n <= 2, step.messages, null) as messages,
    rate(messages, attempted) as share_of_attempted,
    rate(messages, step.previous) as share_of_previous,
from stage;
