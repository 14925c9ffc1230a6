-- grain: one row per message: (message_key, recipient in lower case) with a delivered
-- or a bounce event
-- accepted = delivered, and no async bounce later; opens, clicks = all distinct events
-- that reached it; opened_human, clicked_human = one open, click at least that no rule
-- flags
create or replace view messages as
select
    message_base.message_key,
    message_base.recipient,
    message_base.campaign_id,
    address_domain(message_base.recipient) as recipient_domain,
    message_base.provider,
    address_domain(message_base.sender) as sender_domain,
    message_base.sync_type,
    message_base.bounce_class,
    message_base.bounce_category,
    message_base.meant_category,
    message_base.bounce_type,
    message_base.dsn_code,
    message_base.dsn_status,
    coalesce(message_reaction.opens, 0) as opens,
    coalesce(message_reaction.clicks, 0) as clicks,
    coalesce(message_reaction.complaints, 0) as complaints,
    message_base.accepted,
    message_base.sync_bounced_at is not null as bounced_sync,
    message_base.async_bounced_at is not null as bounced_async,
    message_reaction.first_opened_at is not null as opened,
    message_reaction.first_clicked_at is not null as clicked,
    message_reaction.first_human_opened_at is not null as opened_human,
    message_reaction.least_window_urls is not null
        and not is_covered(message_reaction.least_window_urls, campaign.urls)
        as clicked_human,
    message_reaction.unsubscribed_at is not null as unsubscribed,
    message_reaction.human_unsubscribed_at is not null as unsubscribed_human,
    message_base.attempted_at,
    message_base.delivered_at,
    message_base.bounced_at,
    message_base.sync_bounced_at,
    message_base.async_bounced_at,
    message_reaction.first_opened_at,
    message_reaction.first_human_opened_at,
    message_reaction.first_clicked_at,
    message_reaction.unsubscribed_at,
    message_reaction.complained_at,
from provider_base as message_base
left join message_reaction
    on message_base.message_key = message_reaction.message_key
    and message_base.recipient = message_reaction.recipient
left join campaign
    on message_reaction.campaign_id = campaign.campaign_id;
