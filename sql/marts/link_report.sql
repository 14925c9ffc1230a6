-- grain: campaign (NULL: messages of none) × url; clicks that reached no message left
-- out
-- clicks = events; clicked = accepted messages that clicked it; click_rate = clicked /
-- the campaign's accepted messages; first_clicks = accepted messages whose first click
-- it was (of clicks in the same second the first url in the alphabet); _human:
-- unflagged clicks; is_small = of a campaign of few attempted messages
create or replace view link_report as
with accepted as (
    select
        campaign_id,
        count(*) filter (accepted) as accepted,
        count(*) < threshold('small_attempted') as is_small,
    from message_base
    group by campaign_id
),

clicked as (
    select
        *,
        row_number() over (
            partition by message_key, recipient
            order by occurred_at, url, is_machine
        ) = 1 as is_first,
        accepted and not is_machine and row_number() over (
            partition by message_key, recipient
            order by is_machine, occurred_at, url
        ) = 1 as is_first_human,
    from event_message
    where kind = 'click' and matched_by <> 'none'
),

message_link as (
    select
        campaign_id,
        url,
        count(*) as clicks,
        count(*) filter (not is_machine) as clicks_human,
        bool_or(accepted) as is_clicked,
        bool_or(accepted and not is_machine) as is_clicked_human,
        bool_or(accepted and is_first) as is_first,
        bool_or(is_first_human) as is_first_human,
        min(occurred_at) as first_clicked_at,
        max(occurred_at) as last_clicked_at,
    from clicked
    group by message_key, recipient, campaign_id, url
),

link as (
    select
        campaign_id,
        url,
        cast(sum(clicks) as bigint) as clicks,
        cast(sum(clicks_human) as bigint) as clicks_human,
        count(*) filter (is_clicked) as clicked,
        count(*) filter (is_clicked_human) as clicked_human,
        count(*) filter (is_first) as first_clicks,
        count(*) filter (is_first_human) as first_clicks_human,
        min(first_clicked_at) as first_clicked_at,
        max(last_clicked_at) as last_clicked_at,
    from message_link
    group by campaign_id, url
)

select
    link.campaign_id,
    campaign.campaign_name,
    link.url,
    link.clicks,
    link.clicks_human,
    link.clicked,
    link.clicked_human,
    link.first_clicks,
    link.first_clicks_human,
    accepted.accepted,
    rate(link.clicked, accepted.accepted) as click_rate,
    wilson_lo(link.clicked, accepted.accepted) as click_rate_lo,
    wilson_hi(link.clicked, accepted.accepted) as click_rate_hi,
    rate(link.clicked_human, accepted.accepted) as click_human_rate,
    wilson_lo(link.clicked_human, accepted.accepted) as click_human_rate_lo,
    wilson_hi(link.clicked_human, accepted.accepted) as click_human_rate_hi,
    rate(link.clicks, sum(link.clicks) over campaign_row) as click_share,
    rate(link.clicks_human, sum(link.clicks_human) over campaign_row)
        as click_human_share,
    rate(link.first_clicks, sum(link.first_clicks) over campaign_row)
        as first_click_share,
    rate(link.first_clicks_human, sum(link.first_clicks_human) over campaign_row)
        as first_click_human_share,
    accepted.is_small,
    link.first_clicked_at,
    link.last_clicked_at,
from link
left join accepted on link.campaign_id is not distinct from accepted.campaign_id
left join campaign on link.campaign_id = campaign.campaign_id
window campaign_row as (partition by link.campaign_id);
