-- grain: campaign × age_hours, half powers of two from 1/8 h on and, as the last, the
-- age of its last delivery (at most 1,024 h), as far as events are known (known_until);
-- messages without campaign left out
-- opened, clicked = accepted messages that did so within age_hours of their own
-- delivery, cumulative; rates / accepted, NULL where the campaign is not tracked;
-- is_small = too few accepted to tell
create or replace view campaign_curve as
with sent as materialized (
    select
        campaign_id,
        campaign_name,
        accepted,
        rated,
        least(hours_between(last_delivered_at, known_until()), 1024.0)
            as last_age_hours,
    from campaign_counts
    where campaign_id is not null and accepted > 0
),

delay as (
    select
        campaign_id,
        unnest(['opened', 'opened_human', 'clicked']) as measure,
        unnest([
            hours_between(delivered_at, first_opened_at),
            hours_between(delivered_at, first_human_opened_at),
            hours_between(delivered_at, first_clicked_at)
        ]) as hours,
    from message_reaction
    where campaign_id is not null
        and accepted
        and (first_opened_at is not null or first_clicked_at is not null)
    union all
    select
        campaign_id,
        'clicked_human' as measure,
        hours_between(delivered_at, first_human_clicked_at) as hours,
    from first_human_click
),

-- step n stands for 2^(n / 2) hours, the last for what the campaign has reached of it
reacted as (
    select
        delay.campaign_id,
        cast(ceil(2 * log2(greatest(delay.hours, 0.125))) as integer) as step,
        count(*) filter (delay.measure = 'opened') as opened,
        count(*) filter (delay.measure = 'opened_human') as opened_human,
        count(*) filter (delay.measure = 'clicked') as clicked,
        count(*) filter (delay.measure = 'clicked_human') as clicked_human,
    from delay
    inner join sent on delay.campaign_id = sent.campaign_id
    where delay.hours <= sent.last_age_hours
    group by delay.campaign_id, step
),

grid as (
    select
        campaign_id,
        campaign_name,
        accepted,
        rated,
        last_age_hours,
        unnest(range(
            -6,
            cast(ceil(2 * log2(greatest(last_age_hours, 0.125))) as integer) + 1
        )) as step,
    from sent
    where last_age_hours >= 0.125
),

summed as (
    select
        grid.campaign_id,
        grid.campaign_name,
        least(pow(2, grid.step / 2.0), grid.last_age_hours) as age_hours,
        grid.accepted,
        grid.rated,
        cast(coalesce(sum(reacted.opened) over until_step, 0) as bigint) as opened,
        cast(coalesce(sum(reacted.opened_human) over until_step, 0) as bigint)
            as opened_human,
        cast(coalesce(sum(reacted.clicked) over until_step, 0) as bigint) as clicked,
        cast(coalesce(sum(reacted.clicked_human) over until_step, 0) as bigint)
            as clicked_human,
    from grid
    left join reacted
        on grid.campaign_id = reacted.campaign_id and grid.step = reacted.step
    window until_step as (partition by grid.campaign_id order by grid.step)
)

select
    campaign_id,
    campaign_name,
    age_hours,
    accepted,
    opened,
    opened_human,
    clicked,
    clicked_human,
    rate(opened, rated) as open_rate,
    wilson_lo(opened, rated) as open_rate_lo,
    wilson_hi(opened, rated) as open_rate_hi,
    rate(opened_human, rated) as open_human_rate,
    wilson_lo(opened_human, rated) as open_human_rate_lo,
    wilson_hi(opened_human, rated) as open_human_rate_hi,
    rate(clicked, rated) as click_rate,
    wilson_lo(clicked, rated) as click_rate_lo,
    wilson_hi(clicked, rated) as click_rate_hi,
    rate(clicked_human, rated) as click_human_rate,
    wilson_lo(clicked_human, rated) as click_human_rate_lo,
    wilson_hi(clicked_human, rated) as click_human_rate_hi,
    accepted < threshold('small_attempted') as is_small,
from summed;
