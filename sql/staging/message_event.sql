-- grain: one row per open, click, subscription change and complaint: the message it
-- reached (matched_by message_id, campaign or none) and its machine flags; machine flags
-- by coverage follow in the mart, since they hang on the campaign's number of URLs
create or replace view message_event as
with events as (
    select
        'open' as kind,
        message_key,
        recipient_key(recipient) as recipient,
        campaign_id,
        address_domain(sender) as sender_domain,
        null as url,
        null as change,
        occurred_at,
        received_at,
    from open
    union all
    select
        'click' as kind,
        message_key,
        recipient_key(recipient) as recipient,
        campaign_id,
        address_domain(sender) as sender_domain,
        url,
        null as change,
        occurred_at,
        received_at,
    from click
    union all
    select
        'subscription_changed' as kind,
        message_key,
        recipient_key(recipient) as recipient,
        campaign_id,
        address_domain(sender) as sender_domain,
        null as url,
        word_key(change) as change,
        occurred_at,
        received_at,
    from subscription_changed
    union all
    select
        'complaint' as kind,
        message_key,
        recipient_key(recipient) as recipient,
        campaign_id,
        address_domain(sender) as sender_domain,
        null as url,
        null as change,
        occurred_at,
        received_at,
    from other_event
    where word_key(kind) = 'complaint'
),

by_message_id as (
    select
        events.*,
        message_base.message_key is not null as is_matched,
        message_base.campaign_id as message_campaign_id,
        message_base.accepted,
        message_base.delivered_at,
    from events
    left join message_base
        on events.message_key = message_base.message_key
        and events.recipient = message_base.recipient
),

-- of equally old messages the one with the smaller key stands, so that no order matters
candidate as (
    select
        campaign_id,
        recipient,
        delivered_at,
        min(message_key) as message_key,
        arg_min(accepted, message_key) as accepted,
    from message_base
    where campaign_id is not null and delivered_at is not null
    group by campaign_id, recipient, delivered_at
),

earliest_candidate as (
    select
        campaign_id,
        recipient,
        arg_min(message_key, delivered_at) as message_key,
        arg_min(accepted, delivered_at) as accepted,
        min(delivered_at) as delivered_at,
    from candidate
    group by campaign_id, recipient
),

unmatched as (
    select *
    from by_message_id
    where not is_matched
),

by_campaign as (
    select
        unmatched.*,
        coalesce(latest.message_key, earliest.message_key) as reached_key,
        coalesce(latest.accepted, earliest.accepted) as reached_accepted,
        coalesce(latest.delivered_at, earliest.delivered_at) as reached_delivered_at,
    from unmatched
    asof left join candidate as latest
        on unmatched.campaign_id = latest.campaign_id
        and unmatched.recipient = latest.recipient
        and unmatched.occurred_at >= latest.delivered_at
    left join earliest_candidate as earliest
        on unmatched.campaign_id = earliest.campaign_id
        and unmatched.recipient = earliest.recipient
),

assigned as (
    select
        kind,
        message_key as event_key,
        message_key,
        recipient,
        campaign_id as named_campaign_id,
        message_campaign_id as campaign_id,
        sender_domain,
        'message_id' as matched_by,
        url,
        change,
        accepted,
        delivered_at,
        occurred_at,
        received_at,
    from by_message_id
    where is_matched
    union all
    select
        kind,
        message_key as event_key,
        reached_key as message_key,
        recipient,
        campaign_id as named_campaign_id,
        if(reached_key is null, null, campaign_id) as campaign_id,
        sender_domain,
        if(reached_key is null, 'none', 'campaign') as matched_by,
        url,
        change,
        coalesce(reached_accepted, false) as accepted,
        reached_delivered_at as delivered_at,
        occurred_at,
        received_at,
    from by_campaign
),

click_centre as (
    select
        *,
        count(distinct url) over (
            partition by message_key, recipient
            order by occurred_at
            range between threshold_time('burst_seconds') preceding
            and threshold_time('burst_seconds') following
        ) >= threshold('burst_urls') as is_burst_centre,
        count(distinct url) over (
            partition by message_key, recipient
            order by occurred_at
            range between current row and threshold_time('coverage_seconds') following
        ) as urls_ahead,
    from assigned
    where kind = 'click' and matched_by <> 'none'
),

click_flag as (
    select
        *,
        bool_or(is_burst_centre) over (
            partition by message_key, recipient
            order by occurred_at
            range between threshold_time('burst_seconds') preceding
            and threshold_time('burst_seconds') following
        ) as is_burst,
        coalesce(
            occurred_at <= delivered_at + threshold_time('instant_click_seconds'), false
        ) as is_instant,
        max(urls_ahead) over (
            partition by message_key, recipient
            order by occurred_at
            range between threshold_time('coverage_seconds') preceding and current row
        ) as window_urls,
    from click_centre
),

burst as (
    select distinct
        message_key,
        recipient,
        occurred_at as burst_at,
    from click_flag
    where is_burst
),

open_flag as (
    select
        assigned.*,
        coalesce(
            assigned.occurred_at between assigned.delivered_at
            and assigned.delivered_at + threshold_time('echo_open_seconds'),
            false
        ) or coalesce(
            burst.burst_at
            <= assigned.occurred_at + threshold_time('burst_reach_seconds'),
            false
        ) as is_echo,
    from assigned
    asof left join burst
        on assigned.message_key = burst.message_key
        and assigned.recipient = burst.recipient
        and assigned.occurred_at <= burst.burst_at
    where assigned.kind = 'open' and assigned.matched_by <> 'none'
),

change_flag as (
    select
        assigned.*,
        assigned.change = 'unsubscribe' and coalesce(
            burst.burst_at
            >= assigned.occurred_at - threshold_time('burst_reach_seconds'),
            false
        ) as is_suspect,
    from assigned
    asof left join burst
        on assigned.message_key = burst.message_key
        and assigned.recipient = burst.recipient
        and assigned.occurred_at >= burst.burst_at
    where assigned.kind = 'subscription_changed' and assigned.matched_by <> 'none'
)

select
    kind,
    event_key,
    message_key,
    recipient,
    named_campaign_id,
    campaign_id,
    sender_domain,
    matched_by,
    url,
    change,
    window_urls,
    accepted,
    is_burst,
    is_instant,
    false as is_echo,
    false as is_suspect,
    delivered_at,
    occurred_at,
    received_at,
from click_flag
union all
select
    kind,
    event_key,
    message_key,
    recipient,
    named_campaign_id,
    campaign_id,
    sender_domain,
    matched_by,
    url,
    change,
    null as window_urls,
    accepted,
    false as is_burst,
    false as is_instant,
    is_echo,
    false as is_suspect,
    delivered_at,
    occurred_at,
    received_at,
from open_flag
union all
select
    kind,
    event_key,
    message_key,
    recipient,
    named_campaign_id,
    campaign_id,
    sender_domain,
    matched_by,
    url,
    change,
    null as window_urls,
    accepted,
    false as is_burst,
    false as is_instant,
    false as is_echo,
    is_suspect,
    delivered_at,
    occurred_at,
    received_at,
from change_flag
union all
select
    kind,
    event_key,
    message_key,
    recipient,
    named_campaign_id,
    campaign_id,
    sender_domain,
    matched_by,
    url,
    change,
    null as window_urls,
    accepted,
    false as is_burst,
    false as is_instant,
    false as is_echo,
    false as is_suspect,
    delivered_at,
    occurred_at,
    received_at,
from assigned
where kind = 'complaint' or matched_by = 'none';
