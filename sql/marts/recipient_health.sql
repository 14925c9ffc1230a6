-- grain: one row per recipient (lower case) with a message or a subscription change
-- consecutive_soft_bounces = soft-bounced messages since the last accepted message or
-- unflagged reaction; a hard bounce stands until an unflagged reaction after it; suppress
-- and suppress_reason follow bounce_class.suppress_after, unsubscribes and complaints
-- (plain and dense messages are those of message_base: summed up apart, as a plain one
-- needs no more than a count and its time)
create or replace view recipient_health as
with reaction as (
    select
        recipient,
        last_human_at as occurred_at,
    from message_reaction
    where last_human_at is not null
    union all
    select
        message_reaction.recipient,
        message_reaction.first_clicked_at as occurred_at,
    from message_reaction
    left join campaign on message_reaction.campaign_id = campaign.campaign_id
    where message_reaction.clicks = 1
        and message_reaction.least_window_urls is not null
        and not is_covered(message_reaction.least_window_urls, campaign.urls)
    union all
    select
        click_moment.recipient,
        click_moment.occurred_at,
    from click_moment
    inner join message_reaction
        on click_moment.message_key = message_reaction.message_key
        and click_moment.recipient = message_reaction.recipient
    left join campaign on message_reaction.campaign_id = campaign.campaign_id
    where not click_moment.is_burst
        and not is_instant(click_moment.occurred_at, message_reaction.delivered_at)
        and not is_covered(click_moment.window_urls, campaign.urls)
),

human as (
    select
        recipient,
        max(occurred_at) as last_human_at,
    from reaction
    group by recipient
),

plain as (
    select
        recipient_key(recipient) as recipient,
        count(*) as messages,
        max(occurred_at) as last_accepted_at,
    from delivered
    anti join message_dense using (message_key)
    group by recipient_key(recipient)
),

dense as (
    select
        recipient,
        count(*) as attempted,
        count(*) filter (accepted) as accepted,
        count(bounced_at) as bounced,
        max(attempted_at) as last_attempted_at,
        max(delivered_at) filter (accepted) as last_accepted_at,
        max(bounced_at) filter (bounce_class = 'hard') as hard_bounced_at,
    from message_dense
    group by recipient
),

mailed as (
    select
        coalesce(plain.recipient, dense.recipient) as recipient,
        coalesce(plain.messages, 0) + coalesce(dense.attempted, 0) as attempted,
        coalesce(plain.messages, 0) + coalesce(dense.accepted, 0) as accepted,
        coalesce(dense.bounced, 0) as bounced,
        greatest(plain.last_accepted_at, dense.last_attempted_at) as last_attempted_at,
        greatest(plain.last_accepted_at, dense.last_accepted_at) as last_accepted_at,
        dense.hard_bounced_at,
    from plain
    full join dense on plain.recipient = dense.recipient
),

complained as (
    select
        recipient,
        min(complained_at) as complained_at,
    from message_reaction
    where complained_at is not null
    group by recipient
),

bounced as (
    select
        message_dense.recipient,
        message_dense.bounce_class,
        message_dense.meant_category,
        message_dense.dsn_code[1] = '4' as is_transient,
        message_dense.bounced_at > coalesce(human.last_human_at, timestamp '-infinity')
            as is_after_human,
        message_dense.bounced_at > coalesce(
            greatest(human.last_human_at, mailed.last_accepted_at),
            timestamp '-infinity'
        ) as is_in_a_row,
    from message_dense
    inner join mailed on message_dense.recipient = mailed.recipient
    left join human on message_dense.recipient = human.recipient
    where message_dense.bounced_at is not null
),

streak as (
    select
        recipient,
        bounce_class,
        meant_category,
        is_transient,
        count(*) filter (is_in_a_row) as in_a_row,
        count(*) filter (is_after_human) as after_human,
    from bounced
    group by recipient, bounce_class, meant_category, is_transient
),

verdict as (
    select
        streak.recipient,
        cast(sum(streak.in_a_row) filter (streak.bounce_class = 'soft') as bigint)
            as consecutive_soft_bounces,
        min(coalesce(streak.meant_category, 'permanent DSN')) filter (
            streak.bounce_class = 'hard' and streak.after_human >= if(
                streak.is_transient,
                coalesce(bounce_class.suppress_after_transient, 1),
                coalesce(bounce_class.suppress_after, 1)
            )
        ) as hard_reason,
        min(streak.meant_category) filter (
            streak.bounce_class <> 'hard'
            and streak.in_a_row >= bounce_class.suppress_after
        ) as repeated_reason,
    from streak
    left join bounce_class on streak.meant_category = bounce_class.bounce_category
    group by streak.recipient
),

list_choice as (
    select
        recipient_key(recipient) as recipient,
        contact_list_id,
        max(occurred_at) as changed_at,
        arg_max(
            word_key(change) = 'unsubscribe',
            (occurred_at, word_key(change) = 'unsubscribe')
        ) as is_unsubscribed,
    from subscription_changed
    group by recipient_key(recipient), contact_list_id
),

subscription as (
    select
        recipient,
        bool_or(is_unsubscribed) as is_unsubscribed,
        max(changed_at) filter (is_unsubscribed) as unsubscribed_at,
    from list_choice
    group by recipient
),

joined as (
    select
        coalesce(mailed.recipient, subscription.recipient) as recipient,
        coalesce(mailed.attempted, 0) as attempted,
        coalesce(mailed.accepted, 0) as accepted,
        coalesce(mailed.bounced, 0) as bounced,
        mailed.last_attempted_at,
        mailed.last_accepted_at,
        mailed.hard_bounced_at,
        complained.complained_at,
        subscription.unsubscribed_at,
        coalesce(subscription.is_unsubscribed, false) as is_unsubscribed,
    from mailed
    full join subscription on mailed.recipient = subscription.recipient
    left join complained on mailed.recipient = complained.recipient
)

select
    joined.recipient,
    address_domain(joined.recipient) as recipient_domain,
    case
        when joined.complained_at is not null then 'complained'
        when joined.is_unsubscribed then 'unsubscribed'
        when verdict.hard_reason is not null then 'hard bounce: ' || verdict.hard_reason
        when verdict.repeated_reason is not null
            then 'repeated bounces: ' || verdict.repeated_reason
    end as suppress_reason,
    joined.attempted,
    joined.accepted,
    joined.bounced,
    coalesce(verdict.consecutive_soft_bounces, 0) as consecutive_soft_bounces,
    joined.hard_bounced_at is not null as hard_bounced,
    joined.complained_at is not null
        or joined.is_unsubscribed
        or verdict.hard_reason is not null
        or verdict.repeated_reason is not null as suppress,
    joined.last_attempted_at,
    joined.last_accepted_at,
    joined.hard_bounced_at,
    joined.unsubscribed_at,
    joined.complained_at,
    human.last_human_at as last_human_event_at,
from joined
left join verdict on joined.recipient = verdict.recipient
left join human on joined.recipient = human.recipient;
