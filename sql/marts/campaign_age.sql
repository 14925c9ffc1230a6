-- grain: campaign × age_hours (1, 6, 24, 72, 168); messages without campaign left out
-- opened, clicked, unsubscribed = accepted messages that did so within age_hours of their
-- own delivery; rates / accepted; counts and rates are NULL until the campaign's last
-- delivery is age_hours old (is_reached)
create or replace view campaign_age as
with delay as (
    select
        messages.campaign_id,
        messages.delivered_at,
        messages.accepted,
        hours_between(messages.delivered_at, messages.first_opened_at) as open_hours,
        hours_between(messages.delivered_at, messages.first_human_opened_at)
            as open_human_hours,
        hours_between(messages.delivered_at, messages.first_clicked_at) as click_hours,
        hours_between(messages.delivered_at, first_human_click.first_human_clicked_at)
            as click_human_hours,
        hours_between(messages.delivered_at, messages.unsubscribed_at)
            as unsubscribe_hours,
    from messages
    left join first_human_click
        on messages.message_key = first_human_click.message_key
        and messages.recipient = first_human_click.recipient
    where messages.campaign_id is not null
),

by_age as (
    select
        campaign_id,
        count(*) filter (accepted) as accepted,
        hours_between(max(delivered_at), report_now()) as campaign_age_hours,
        count_by_age(accepted, open_hours) as opened,
        count_by_age(accepted, open_human_hours) as opened_human,
        count_by_age(accepted, click_hours) as clicked,
        count_by_age(accepted, click_human_hours) as clicked_human,
        count_by_age(accepted, least(open_hours, click_hours)) as confirmed_opened,
        count_by_age(accepted, unsubscribe_hours) as unsubscribed,
    from delay
    group by campaign_id
),

at_age as (
    select
        campaign_id,
        unnest([1, 6, 24, 72, 168]) as age_hours,
        campaign_age_hours,
        accepted,
        unnest(opened) as opened,
        unnest(opened_human) as opened_human,
        unnest(clicked) as clicked,
        unnest(clicked_human) as clicked_human,
        unnest(confirmed_opened) as confirmed_opened,
        unnest(unsubscribed) as unsubscribed,
    from by_age
),

reached as (
    select
        at_age.campaign_id,
        campaign.campaign_name,
        cast(at_age.age_hours as bigint) as age_hours,
        coalesce(at_age.campaign_age_hours >= at_age.age_hours, false) as is_reached,
        at_age.accepted,
        if(is_reached, at_age.opened, null) as opened,
        if(is_reached, at_age.opened_human, null) as opened_human,
        if(is_reached, at_age.clicked, null) as clicked,
        if(is_reached, at_age.clicked_human, null) as clicked_human,
        if(is_reached, at_age.confirmed_opened, null) as confirmed_opened,
        if(is_reached, at_age.unsubscribed, null) as unsubscribed,
        at_age.campaign_id in (from campaign_tracking where campaign_id is not null)
            as is_tracked,
    from at_age
    left join campaign on at_age.campaign_id = campaign.campaign_id
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
    confirmed_opened,
    unsubscribed,
    is_reached,
    is_tracked,
    if(is_tracked, rate(opened, accepted), null) as open_rate,
    if(is_tracked and is_reached, wilson_lo(opened, accepted), null) as open_rate_lo,
    if(is_tracked and is_reached, wilson_hi(opened, accepted), null) as open_rate_hi,
    if(is_tracked, rate(opened_human, accepted), null) as open_human_rate,
    if(is_tracked and is_reached, wilson_lo(opened_human, accepted), null)
        as open_human_rate_lo,
    if(is_tracked and is_reached, wilson_hi(opened_human, accepted), null)
        as open_human_rate_hi,
    rate(confirmed_opened, accepted) as confirmed_open_rate,
    if(is_reached, wilson_lo(confirmed_opened, accepted), null)
        as confirmed_open_rate_lo,
    if(is_reached, wilson_hi(confirmed_opened, accepted), null)
        as confirmed_open_rate_hi,
    rate(clicked, accepted) as click_rate,
    if(is_reached, wilson_lo(clicked, accepted), null) as click_rate_lo,
    if(is_reached, wilson_hi(clicked, accepted), null) as click_rate_hi,
    rate(clicked_human, accepted) as click_human_rate,
    if(is_reached, wilson_lo(clicked_human, accepted), null) as click_human_rate_lo,
    if(is_reached, wilson_hi(clicked_human, accepted), null) as click_human_rate_hi,
    rate(clicked, confirmed_opened) as click_to_open_rate,
    if(is_reached, wilson_lo(clicked, confirmed_opened), null) as click_to_open_rate_lo,
    if(is_reached, wilson_hi(clicked, confirmed_opened), null) as click_to_open_rate_hi,
    rate(unsubscribed, accepted) as unsubscribe_rate,
    if(is_reached, wilson_lo(unsubscribed, accepted), null) as unsubscribe_rate_lo,
    if(is_reached, wilson_hi(unsubscribed, accepted), null) as unsubscribe_rate_hi,
from reached;
