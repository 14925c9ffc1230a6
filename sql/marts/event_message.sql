-- grain: one row per open, click, subscription change and complaint, the message it
-- reached (matched_by message_id, campaign or none) and every machine flag
-- is_machine = any flag; an event of a message with one unflagged event stays flagged
create or replace view event_message as
select
    message_event.event_key,
    message_event.message_key,
    message_event.recipient,
    message_event.campaign_id,
    message_event.named_campaign_id,
    message_event.kind,
    message_event.matched_by,
    message_event.sender_domain,
    message_event.url,
    message_event.change,
    message_event.accepted,
    message_event.is_burst,
    message_event.is_instant,
    coalesce(
        campaign_link_count.urls >= threshold('coverage_urls')
        and rate(message_event.window_urls, campaign_link_count.urls)
        >= threshold('coverage_share'),
        false
    ) as is_coverage,
    message_event.is_echo,
    message_event.is_suspect,
    message_event.is_burst
        or message_event.is_instant
        or message_event.is_echo
        or message_event.is_suspect
        or coalesce(
            campaign_link_count.urls >= threshold('coverage_urls')
            and rate(message_event.window_urls, campaign_link_count.urls)
            >= threshold('coverage_share'),
            false
        ) as is_machine,
    message_event.delivered_at,
    message_event.occurred_at,
    message_event.received_at,
from message_event
left join campaign_link_count
    on message_event.campaign_id = campaign_link_count.campaign_id;
