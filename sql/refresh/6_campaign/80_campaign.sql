-- Campaigns: latest name (of equally late ones the last in the alphabet), distinct
-- URLs, tracked or not: of all, or of those touched. NULL stands for what is of none.
create or replace temp table refresh_urls as
select
    campaign_id,
    urls,
from campaign;

delete from campaign
where campaign_id is null
    or campaign_id in (select campaign_id from refresh_campaign);

insert into campaign by name
with named as (
    select every_event.*
    from every_event
    cross join (select 1 from refresh_plan where is_full) as gate
    union all
    select *
    from every_event
    where campaign_id in (select campaign_id from refresh_campaign)
),

named_at as (
    select
        campaign_id,
        campaign_name,
        max(occurred_at) as occurred_at,
        bool_or(kind in ('open', 'click', 'subscription_changed')) as is_tracked,
    from named
    where campaign_id is not null
    group by campaign_id, campaign_name
),

latest_name as (
    select
        campaign_id,
        arg_max(campaign_name, (occurred_at, campaign_name))
            filter (campaign_name is not null) as campaign_name,
        bool_or(is_tracked) as is_tracked,
    from named_at
    group by campaign_id
    union all
    select
        null as campaign_id,
        null as campaign_name,
        false as is_tracked,
),

clicked as (
    select
        message_reaction.campaign_id,
        url_key(click.url) as url_key,
    from message_reaction
    inner join click
        on message_reaction.message_key = click.message_key
        and recipient_number(message_reaction.recipient)
            = recipient_number(recipient_key(click.recipient))
    cross join refresh_plan
    where message_reaction.clicks > 0
        and (
            refresh_plan.is_full
            or message_reaction.campaign_id in (
                select campaign_id from refresh_campaign
            )
        )
    union all
    select
        event_fallback.campaign_id,
        url_key(event_fallback.url) as url_key,
    from event_fallback
    cross join refresh_plan
    where event_fallback.kind = 'click'
        and (
            refresh_plan.is_full
            or event_fallback.campaign_id in (select campaign_id from refresh_campaign)
        )
),

link as (
    select
        campaign_id,
        count(distinct url_key) as urls,
    from clicked
    where campaign_id is not null
    group by campaign_id
)

select
    latest_name.campaign_id,
    latest_name.campaign_name,
    coalesce(link.urls, 0) as urls,
    latest_name.is_tracked or exists (
        select 1
        from message_reaction
        where message_reaction.campaign_id is not distinct from latest_name.campaign_id
            and opens + clicks + changes > 0
    ) as is_tracked,
from latest_name
left join link on latest_name.campaign_id = link.campaign_id;
