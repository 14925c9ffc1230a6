-- grain: campaign (NULL: messages of none) × kind (open, click) × bin of the time from
-- delivery to the first reaction of each message: bin_number 1 holds up to 15 seconds, and
-- every further one twice the time before
-- of accepted messages; messages_human = first reaction that no rule flags;
-- messages_machine = messages of which every reaction of the kind is flagged, by their first
create or replace view reaction_histogram as
with first_reaction as (
    select
        message_reaction.campaign_id,
        'open' as kind,
        message_reaction.delivered_at,
        coalesce(
            message_reaction.first_human_opened_at, message_reaction.first_opened_at
        ) as reacted_at,
        message_reaction.first_human_opened_at is not null as is_human,
    from message_reaction
    where message_reaction.accepted and message_reaction.first_opened_at is not null
    union all
    select
        message_reaction.campaign_id,
        'click' as kind,
        message_reaction.delivered_at,
        coalesce(
            first_human_click.first_human_clicked_at, message_reaction.first_clicked_at
        ) as reacted_at,
        first_human_click.first_human_clicked_at is not null as is_human,
    from message_reaction
    left join first_human_click
        on message_reaction.message_key = first_human_click.message_key
        and message_reaction.recipient = first_human_click.recipient
    where message_reaction.accepted and message_reaction.first_clicked_at is not null
),

binned as (
    select
        campaign_id,
        kind,
        is_human,
        cast(1 + ceil(log2(
            greatest(240 * hours_between(delivered_at, reacted_at), 1)
        )) as integer) as bin_number,
    from first_reaction
    where delivered_at is not null
)

select
    binned.campaign_id,
    campaign.campaign_name,
    binned.kind,
    binned.bin_number,
    pow(2, binned.bin_number - 1) / 4 as to_minutes,
    count(*) filter (binned.is_human) as messages_human,
    count(*) filter (not binned.is_human) as messages_machine,
from binned
left join campaign on binned.campaign_id = campaign.campaign_id
group by binned.campaign_id, campaign.campaign_name, binned.kind, binned.bin_number;
