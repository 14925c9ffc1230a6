-- grain: one row per message: (message_key, recipient in lower case) with a delivered or a
-- bounce event
-- accepted = delivered, and no async bounce later; opened_human, clicked_human = at least
-- one open, click that no machine rule flags
create or replace view messages as
select
    message_state.message_key,
    message_state.recipient,
    message_state.campaign_id,
    message_state.recipient_domain,
    coalesce(provider_domain.provider, 'other') as provider,
    message_state.sender_domain,
    message_state.sync_type,
    message_state.bounce_class,
    message_state.bounce_category,
    message_state.meant_category,
    message_state.bounce_type,
    message_state.dsn_code,
    message_state.dsn_status,
    message_state.opens,
    message_state.clicks,
    message_state.complaints,
    message_state.accepted,
    message_state.sync_bounced_at is not null as bounced_sync,
    message_state.async_bounced_at is not null as bounced_async,
    message_state.opens > 0 as opened,
    message_state.clicks > 0 as clicked,
    message_state.first_human_opened_at is not null as opened_human,
    message_state.least_window_urls is not null and not (
        coalesce(campaign_link_count.urls, 0) >= threshold('coverage_urls')
        and rate(message_state.least_window_urls, campaign_link_count.urls)
        >= threshold('coverage_share')
    ) as clicked_human,
    message_state.unsubscribed_at is not null as unsubscribed,
    message_state.human_unsubscribed_at is not null as unsubscribed_human,
    coalesce(message_state.delivered_at, message_state.bounced_at) as attempted_at,
    message_state.delivered_at,
    message_state.bounced_at,
    message_state.sync_bounced_at,
    message_state.async_bounced_at,
    message_state.first_opened_at,
    message_state.first_human_opened_at,
    message_state.first_clicked_at,
    message_state.unsubscribed_at,
    message_state.complained_at,
from message_state
left join provider_domain
    on message_state.recipient_domain = provider_domain.domain
left join campaign_link_count
    on message_state.campaign_id = campaign_link_count.campaign_id;
