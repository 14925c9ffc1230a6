-- grain: one row per accepted message with a click that no machine rule flags
create or replace view first_human_click as
select
    message_key,
    recipient,
    any_value(campaign_id) as campaign_id,
    any_value(delivered_at) as delivered_at,
    min(occurred_at) as first_human_clicked_at,
from event_message
where kind = 'click' and accepted and not is_machine
group by message_key, recipient;
