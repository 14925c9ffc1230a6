-- Bursts and windows of the messages with several clicks.
delete from click_moment
where (select is_full from refresh_plan);

delete from click_moment
using refresh_reaction_key
where click_moment.message_key = refresh_reaction_key.message_key
    and click_moment.recipient = refresh_reaction_key.recipient;

create or replace temp table refresh_several as
select
    message_key,
    recipient,
from refresh_assigned
where kind = 'click'
group by message_key, recipient
having count(*) > 1 or threshold('burst_urls') <= 1;

insert into click_moment by name
with centre as (
    select distinct
        message_key,
        recipient,
        occurred_at,
        count(distinct url_key) over (
            partition by message_key, recipient
            order by occurred_at
            range between threshold_time('burst_seconds') preceding
            and threshold_time('burst_seconds') following
        ) >= threshold('burst_urls') as is_burst_centre,
        count(distinct url_key) over (
            partition by message_key, recipient
            order by occurred_at
            range between current row and threshold_time('coverage_seconds') following
        ) as urls_ahead,
    from refresh_assigned
    semi join refresh_several using (message_key, recipient)
    where kind = 'click'
)

select
    message_key,
    recipient,
    occurred_at,
    bool_or(is_burst_centre) over (
        partition by message_key, recipient
        order by occurred_at
        range between threshold_time('burst_seconds') preceding
        and threshold_time('burst_seconds') following
    ) as is_burst,
    max(urls_ahead) over (
        partition by message_key, recipient
        order by occurred_at
        range between threshold_time('coverage_seconds') preceding and current row
    ) as window_urls,
from centre;
