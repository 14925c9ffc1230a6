-- Events with their machine flags: clicks first, since bursts of clicks flag the rest.
delete from message_event
where (select is_full from refresh_plan);

delete from message_event
using refresh_key
where message_event.event_key = refresh_key.message_key
    and message_event.recipient = refresh_key.recipient;

insert into message_event by name
with centre as (
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
    from refresh_assigned
    where kind = 'click' and matched_by <> 'none'
)

select
    * exclude (sender, is_burst_centre, urls_ahead),
    address_domain(sender) as sender_domain,
    bool_or(is_burst_centre) over (
        partition by message_key, recipient
        order by occurred_at
        range between threshold_time('burst_seconds') preceding
        and threshold_time('burst_seconds') following
    ) as is_burst,
    coalesce(
        occurred_at <= delivered_at + threshold_time('instant_click_seconds'), false
    ) as is_instant,
    false as is_echo,
    false as is_suspect,
    max(urls_ahead) over (
        partition by message_key, recipient
        order by occurred_at
        range between threshold_time('coverage_seconds') preceding and current row
    ) as window_urls,
from centre;

create or replace temp table refresh_burst as
select distinct
    message_event.message_key,
    message_event.recipient,
    message_event.occurred_at as burst_at,
from message_event
where message_event.kind = 'click'
    and message_event.is_burst
    and ((select is_full from refresh_plan) or exists (
        select 1
        from refresh_key
        where refresh_key.message_key = message_event.event_key
            and refresh_key.recipient = message_event.recipient
    ));

insert into message_event by name
select
    assigned.* exclude (sender),
    address_domain(assigned.sender) as sender_domain,
    false as is_burst,
    false as is_instant,
    coalesce(
        assigned.occurred_at
        <= assigned.delivered_at + threshold_time('echo_open_seconds'),
        false
    ) or exists (
        select 1
        from refresh_burst
        where refresh_burst.message_key = assigned.message_key
            and refresh_burst.recipient = assigned.recipient
            and refresh_burst.burst_at between assigned.occurred_at
            and assigned.occurred_at + threshold_time('burst_reach_seconds')
    ) as is_echo,
    false as is_suspect,
from refresh_assigned as assigned
where assigned.kind = 'open' and assigned.matched_by <> 'none';

insert into message_event by name
select
    assigned.* exclude (sender),
    address_domain(assigned.sender) as sender_domain,
    false as is_burst,
    false as is_instant,
    false as is_echo,
    assigned.change is not distinct from 'unsubscribe' and exists (
        select 1
        from refresh_burst
        where refresh_burst.message_key = assigned.message_key
            and refresh_burst.recipient = assigned.recipient
            and refresh_burst.burst_at between
            assigned.occurred_at - threshold_time('burst_reach_seconds')
            and assigned.occurred_at
    ) as is_suspect,
from refresh_assigned as assigned
where assigned.kind not in ('open', 'click') and assigned.matched_by <> 'none';

insert into message_event by name
select
    * exclude (sender),
    address_domain(sender) as sender_domain,
    false as is_burst,
    false as is_instant,
    false as is_echo,
    false as is_suspect,
from refresh_fallback
where matched_by = 'none';
