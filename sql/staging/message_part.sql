-- grain: one row per message, and one more per message that an event reached: a message
-- and its reactions without joining them, for counting: the sums over both are those
-- over messages
create or replace view message_part as
select
    campaign_id,
    recipient,
    bounce_class,
    true as is_message,
    accepted,
    attempted_at,
    delivered_at,
    bounced_at,
    null as opens,
    null as clicks,
    null as complaints,
    false as opened,
    false as clicked,
    false as opened_human,
    false as clicked_human,
    false as unsubscribed,
    false as unsubscribed_human,
    false as complained,
from message_base
union all by name
select
    message_reaction.campaign_id,
    message_reaction.recipient,
    false as is_message,
    false as accepted,
    message_reaction.attempted_at,
    message_reaction.opens,
    message_reaction.clicks,
    message_reaction.complaints,
    message_reaction.accepted and message_reaction.first_opened_at is not null
        as opened,
    message_reaction.accepted and message_reaction.first_clicked_at is not null
        as clicked,
    message_reaction.accepted and message_reaction.first_human_opened_at is not null
        as opened_human,
    message_reaction.accepted
        and message_reaction.least_window_urls is not null
        and not is_covered(message_reaction.least_window_urls, campaign.urls)
        as clicked_human,
    message_reaction.accepted and message_reaction.unsubscribed_at is not null
        as unsubscribed,
    message_reaction.accepted and message_reaction.human_unsubscribed_at is not null
        as unsubscribed_human,
    message_reaction.accepted and message_reaction.complained_at is not null
        as complained,
from message_reaction
left join campaign
    on message_reaction.campaign_id = campaign.campaign_id;
