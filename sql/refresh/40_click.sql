-- Clicks with their machine flags. Only messages with three clicks or more can hold a
-- burst; a lone click is its own window.
delete from message_click
where (select is_full from refresh_plan);

delete from message_click
using refresh_key
where message_click.event_key = refresh_key.message_key
    and message_click.recipient = refresh_key.recipient;

insert into message_click by name
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
    where kind = 'click'
)

select
    * exclude (kind, change, is_burst_centre, urls_ahead),
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
from centre;
