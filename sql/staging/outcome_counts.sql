-- grain: the distinct values of two expressions over the columns of `part`
-- (message_part: campaign_id, recipient, attempted_at; provider_part: provider as
-- well), NULL for one that is not wanted: from outcome_counts('provider_part',
-- campaign_id, provider)
-- attempted = delivered or bounced; accepted = delivered without a later async bounce;
-- opened, clicked, unsubscribed, complained = accepted messages that did so at least
-- once; opens, clicks, complaints = events that reached any of the messages
create or replace macro outcome_counts(part, first_grain, second_grain) as table
select
    first_grain as first_key,
    second_grain as second_key,
    count(*) filter (is_message) as attempted,
    count(delivered_at) as delivered,
    count(*) filter (accepted) as accepted,
    count(bounced_at) as bounced,
    count(*) filter (bounce_class = 'hard') as hard,
    count(*) filter (bounce_class = 'soft') as soft,
    count(*) filter (bounce_class = 'block') as block,
    count(*) filter (bounce_class = 'undetermined') as undetermined,
    count(*) filter (opened) as opened,
    count(*) filter (clicked) as clicked,
    count(*) filter (opened or clicked) as confirmed_opened,
    cast(coalesce(sum(opens), 0) as bigint) as opens,
    cast(coalesce(sum(clicks), 0) as bigint) as clicks,
    count(*) filter (unsubscribed) as unsubscribed,
    count(*) filter (complained) as complained,
    cast(coalesce(sum(complaints), 0) as bigint) as complaints,
    count(*) filter (opened_human) as opened_human,
    count(*) filter (clicked_human) as clicked_human,
    count(*) filter (opened_human or clicked_human) as confirmed_opened_human,
    count(*) filter (unsubscribed_human) as unsubscribed_human,
    min(delivered_at) as first_delivered_at,
    max(delivered_at) as last_delivered_at,
from query_table(part)
group by first_key, second_key;
