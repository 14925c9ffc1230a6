-- grain: one row per open, click, subscription change and complaint, the message it
-- reached (matched_by message_id, campaign or none) and every machine flag
-- is_machine = any flag; an event of a message with an unflagged event stays flagged
create or replace view event_message as
with flagged as (
    select
        flagged_event.* exclude (sender),
        address_domain(flagged_event.sender) as sender_domain,
        is_covered(flagged_event.window_urls, campaign.urls) as is_coverage,
    from flagged_event
    left join campaign
        on flagged_event.campaign_id = campaign.campaign_id
)

select
    event_key,
    message_key,
    recipient,
    campaign_id,
    named_campaign_id,
    kind,
    matched_by,
    sender_domain,
    url,
    change,
    accepted,
    is_burst,
    is_instant,
    is_coverage,
    is_echo,
    is_suspect,
    is_burst or is_instant or is_coverage or is_echo or is_suspect as is_machine,
    delivered_at,
    occurred_at,
    received_at,
from flagged;
