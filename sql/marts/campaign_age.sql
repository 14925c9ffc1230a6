-- grain: campaign × age_hours (1, 6, 24, 72, 168); messages without campaign left out
-- opened, clicked, unsubscribed = accepted messages that did so within age_hours of
-- their own delivery; rates / accepted; counts and rates are NULL until the campaign's
-- last delivery is age_hours old (is_reached)
create or replace view campaign_age as
with delay as (
    select
        campaign_id,
        hours_between(delivered_at, first_opened_at) as open_hours,
        hours_between(delivered_at, first_human_opened_at) as open_human_hours,
        hours_between(delivered_at, first_clicked_at) as click_hours,
        hours_between(delivered_at, unsubscribed_at) as unsubscribe_hours,
    from message_reaction
    where campaign_id is not null and accepted
    union all by name
    select
        campaign_id,
        hours_between(delivered_at, first_human_clicked_at) as click_human_hours,
    from first_human_click
    where campaign_id is not null
),

by_age as (
    select
        campaign_id,
        count_by_age(open_hours) as opened,
        count_by_age(open_human_hours) as opened_human,
        count_by_age(click_hours) as clicked,
        count_by_age(click_human_hours) as clicked_human,
        count_by_age(least(open_hours, click_hours)) as confirmed_opened,
        count_by_age(unsubscribe_hours) as unsubscribed,
    from delay
    group by campaign_id
),

sent as (
    select
        campaign_id,
        count(*) filter (accepted) as accepted,
        hours_between(max(delivered_at), report_now()) as campaign_age_hours,
    from message_base
    where campaign_id is not null
    group by campaign_id
),

reached as (
    select
        sent.campaign_id,
        campaign.campaign_name,
        age.age_hours,
        sent.accepted,
        coalesce(sent.campaign_age_hours >= age.age_hours, false) as is_reached,
        campaign.is_tracked,
        if(campaign.is_tracked, sent.accepted, null) as rated,
        if(is_reached, coalesce(by_age.opened[age.n], 0), null) as opened,
        if(is_reached, coalesce(by_age.opened_human[age.n], 0), null) as opened_human,
        if(is_reached, coalesce(by_age.clicked[age.n], 0), null) as clicked,
        if(is_reached, coalesce(by_age.clicked_human[age.n], 0), null) as clicked_human,
        if(is_reached, coalesce(by_age.confirmed_opened[age.n], 0), null)
            as confirmed_opened,
        if(is_reached, coalesce(by_age.unsubscribed[age.n], 0), null) as unsubscribed,
    from sent
    cross join (
        select
            generate_subscripts(compared_ages(), 1) as n,
            unnest(compared_ages()) as age_hours,
    ) as age
    inner join campaign on sent.campaign_id = campaign.campaign_id
    left join by_age on sent.campaign_id = by_age.campaign_id
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
    rate(opened, rated) as open_rate,
    wilson_lo(opened, rated) as open_rate_lo,
    wilson_hi(opened, rated) as open_rate_hi,
    rate(opened_human, rated) as open_human_rate,
    wilson_lo(opened_human, rated) as open_human_rate_lo,
    wilson_hi(opened_human, rated) as open_human_rate_hi,
    rate(confirmed_opened, rated) as confirmed_open_rate,
    wilson_lo(confirmed_opened, rated) as confirmed_open_rate_lo,
    wilson_hi(confirmed_opened, rated) as confirmed_open_rate_hi,
    rate(clicked, rated) as click_rate,
    wilson_lo(clicked, rated) as click_rate_lo,
    wilson_hi(clicked, rated) as click_rate_hi,
    rate(clicked_human, rated) as click_human_rate,
    wilson_lo(clicked_human, rated) as click_human_rate_lo,
    wilson_hi(clicked_human, rated) as click_human_rate_hi,
    rate(clicked, confirmed_opened) as click_to_open_rate,
    wilson_lo(clicked, confirmed_opened) as click_to_open_rate_lo,
    wilson_hi(clicked, confirmed_opened) as click_to_open_rate_hi,
    rate(unsubscribed, rated) as unsubscribe_rate,
    wilson_lo(unsubscribed, rated) as unsubscribe_rate_lo,
    wilson_hi(unsubscribed, rated) as unsubscribe_rate_hi,
from reached;
