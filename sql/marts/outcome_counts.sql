-- grain: the distinct values of two expressions over messages (NULL for one not wanted):
--   from outcome_counts(campaign_id, provider)
-- attempted = delivered or bounced; accepted = delivered without a later async bounce;
-- opened, clicked, unsubscribed, complained = accepted messages that did so at least once;
-- opens, clicks, complaints = events that reached any of the messages
create or replace macro outcome_counts(first_grain, second_grain) as table
select
    first_grain as first_key,
    second_grain as second_key,
    count(*) as attempted,
    count(delivered_at) as delivered,
    count(*) filter (accepted) as accepted,
    count(bounced_at) as bounced,
    count(*) filter (bounce_class = 'hard') as hard,
    count(*) filter (bounce_class = 'soft') as soft,
    count(*) filter (bounce_class = 'block') as block,
    count(*) filter (bounce_class = 'undetermined') as undetermined,
    count(*) filter (accepted and opened) as opened,
    count(*) filter (accepted and clicked) as clicked,
    count(*) filter (accepted and (opened or clicked)) as confirmed_opened,
    cast(sum(opens) as bigint) as opens,
    cast(sum(clicks) as bigint) as clicks,
    count(*) filter (accepted and unsubscribed) as unsubscribed,
    count(*) filter (accepted and complaints > 0) as complained,
    cast(sum(complaints) as bigint) as complaints,
    count(*) filter (accepted and opened_human) as opened_human,
    count(*) filter (accepted and clicked_human) as clicked_human,
    count(*) filter (accepted and (opened_human or clicked_human))
        as confirmed_opened_human,
    count(*) filter (accepted and unsubscribed_human) as unsubscribed_human,
    min(delivered_at) as first_delivered_at,
    max(delivered_at) as last_delivered_at,
from messages
group by first_key, second_key;
