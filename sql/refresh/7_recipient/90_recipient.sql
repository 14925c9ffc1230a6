-- What is known of each recipient. Plain and dense messages are those of message_base:
-- summed up apart, as a plain one needs no more than a count and its time.
insert into recipient_state by name
with reacted as not materialized (
    select
        message_reaction.message_key,
        message_reaction.recipient,
        message_reaction.clicks,
        message_reaction.least_window_urls,
        message_reaction.delivered_at,
        message_reaction.first_clicked_at,
        message_reaction.complained_at,
        message_reaction.last_human_at,
        campaign.urls,
    from refresh_rows('message_reaction') as message_reaction
    left join campaign on message_reaction.campaign_id = campaign.campaign_id
),

reaction as (
    select
        recipient,
        last_human_at as occurred_at,
        complained_at,
    from reacted
    where last_human_at is not null
        or complained_at is not null
    union all by name
    select
        recipient,
        min(occurred_at) as complained_at,
    from refresh_rows('event_fallback')
    where kind = 'complaint'
    group by recipient
    union all by name
    select
        recipient,
        first_clicked_at as occurred_at,
    from reacted
    where clicks = 1
        and least_window_urls is not null
        and not is_covered(least_window_urls, urls)
    union all by name
    select
        moment.recipient,
        moment.occurred_at,
    from refresh_rows('click_moment') as moment
    inner join reacted
        on moment.message_key = reacted.message_key
        and moment.recipient = reacted.recipient
    where not moment.is_burst
        and not is_instant(moment.occurred_at, reacted.delivered_at)
        and not is_covered(moment.window_urls, reacted.urls)
),

list_choice as (
    select
        recipient_key(recipient) as recipient,
        contact_list_id,
        max(occurred_at) filter (is_known) as changed_at,
        arg_max(
            word_key(change) = 'unsubscribe',
            (occurred_at, word_key(change) = 'unsubscribe')
        ) filter (is_known) as is_unsubscribed,
    from (
        select
            *,
            word_key(change) in ('unsubscribe', 'resubscribe') as is_known,
        from refresh_rows('subscription_changed')
    )
    group by recipient_key(recipient), contact_list_id
),

dense_message as not materialized (
    select *
    from refresh_rows('message_dense')
),

found as (
    select
        recipient_key(delivered.recipient) as recipient,
        count(*) as attempted,
        count(*) as accepted,
        max(delivered.occurred_at) as last_attempted_at,
        max(delivered.occurred_at) as last_accepted_at,
    from refresh_rows('delivered') as delivered
    anti join message_dense using (message_key)
    group by delivered.recipient
    union all by name
    select
        recipient,
        count(*) as attempted,
        count(*) filter (accepted) as accepted,
        count(bounced_at) as bounced,
        max(attempted_at) as last_attempted_at,
        max(delivered_at) filter (accepted) as last_accepted_at,
        max(bounced_at) filter (bounce_class = 'hard') as hard_bounced_at,
    from dense_message
    group by recipient
    union all by name
    select
        recipient,
        max(occurred_at) as last_human_at,
        min(complained_at) as complained_at,
    from reaction
    group by recipient
    union all by name
    select
        recipient,
        is_unsubscribed,
        if(is_unsubscribed, changed_at, null) as unsubscribed_at,
    from list_choice
),

summed as (
    select
        recipient,
        coalesce(sum(attempted), 0) as attempted,
        coalesce(sum(accepted), 0) as accepted,
        coalesce(sum(bounced), 0) as bounced,
        coalesce(bool_or(is_unsubscribed), false) as is_unsubscribed,
        max(last_attempted_at) as last_attempted_at,
        max(last_accepted_at) as last_accepted_at,
        max(hard_bounced_at) as hard_bounced_at,
        max(unsubscribed_at) as unsubscribed_at,
        min(complained_at) as complained_at,
        max(last_human_at) as last_human_at,
    from found
    group by recipient
),

bounced as (
    select
        dense_message.recipient,
        dense_message.bounce_class,
        dense_message.meant_category,
        dense_message.dsn_code[1] = '4' as is_transient,
        dense_message.bounced_at,
        dense_message.bounced_at > coalesce(summed.last_human_at, timestamp '-infinity')
            as is_after_human,
        dense_message.bounced_at > coalesce(
            greatest(summed.last_human_at, summed.last_accepted_at),
            timestamp '-infinity'
        ) as is_in_a_row,
    from dense_message
    inner join summed on dense_message.recipient = summed.recipient
    where dense_message.bounced_at is not null
),

streak as (
    select
        recipient,
        bounce_class,
        meant_category,
        count(*) filter (is_in_a_row) as in_a_row,
        max(bounced_at) filter (is_in_a_row) - min(bounced_at) filter (is_in_a_row)
            as in_a_row_for,
        count(*) filter (is_after_human) as after_human,
        count(*) filter (is_after_human and is_transient is not true)
            as after_human_permanent,
    from bounced
    group by recipient, bounce_class, meant_category
),

verdict as (
    select
        streak.recipient,
        cast(sum(streak.in_a_row) filter (streak.bounce_class = 'soft') as bigint)
            as consecutive_soft_bounces,
        min(streak.meant_category) filter (
            streak.bounce_class = 'hard' and (
                streak.after_human_permanent >= bounce_class.suppress_after
                or streak.after_human >= bounce_class.suppress_after_transient
            )
        ) as hard_reason,
        min(streak.meant_category) filter (
            streak.bounce_class <> 'hard'
            and (
                streak.in_a_row >= bounce_class.suppress_after
                or streak.in_a_row_for >= to_days(bounce_class.suppress_after_days)
            )
        ) as repeated_reason,
    from streak
    left join bounce_class on streak.meant_category = bounce_class.bounce_category
    group by streak.recipient
)

select
    summed.*,
    coalesce(verdict.consecutive_soft_bounces, 0) as consecutive_soft_bounces,
    verdict.hard_reason,
    verdict.repeated_reason,
from summed
left join verdict on summed.recipient = verdict.recipient;
