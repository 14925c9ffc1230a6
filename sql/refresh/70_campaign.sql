-- Campaigns that an event names or reaches: latest name (of equally late ones the last in
-- the alphabet), distinct URLs, tracked or not.
insert into refresh_campaign
select distinct
    unnest([message_event.campaign_id, message_event.named_campaign_id]) as campaign_id,
from message_event
semi join refresh_key
    on message_event.event_key = refresh_key.message_key
    and message_event.recipient = refresh_key.recipient
union
select null as campaign_id
from refresh_plan
where not is_full;

delete from campaign
where (select is_full from refresh_plan)
    or campaign_id is null
    or campaign_id in (select campaign_id from refresh_campaign);

insert into campaign by name
with named as (
    select campaign_id, campaign_name, occurred_at from delivered
    union all
    select campaign_id, campaign_name, occurred_at from bounce
    union all
    select campaign_id, campaign_name, occurred_at from open
    union all
    select campaign_id, campaign_name, occurred_at from click
    union all
    select campaign_id, campaign_name, occurred_at from subscription_changed
    union all
    select campaign_id, campaign_name, occurred_at from other_event
),

touched as (
    select *
    from named
    cross join (select 1 from refresh_plan where is_full) as gate
    where campaign_id is not null
    union all by name
    select *
    from named
    where campaign_id in (select campaign_id from refresh_campaign)
),

named_at as (
    select
        campaign_id,
        campaign_name,
        max(occurred_at) as occurred_at,
    from touched
    group by campaign_id, campaign_name
),

latest_name as (
    select
        campaign_id,
        arg_max(campaign_name, (occurred_at, campaign_name))
            filter (campaign_name is not null) as campaign_name,
    from named_at
    group by campaign_id
    union all
    select
        null as campaign_id,
        null as campaign_name,
),

tracked as (
    select distinct
        campaign_id,
        named_campaign_id,
        matched_by,
    from message_event
    where kind <> 'complaint'
),

tracked_campaign as (
    select named_campaign_id as campaign_id
    from tracked
    where named_campaign_id is not null
    union
    select campaign_id
    from tracked
    where matched_by <> 'none'
),

link as (
    select
        campaign_id,
        count(distinct url) as urls,
    from message_event
    where kind = 'click' and campaign_id is not null
    group by campaign_id
)

select
    latest_name.campaign_id,
    latest_name.campaign_name,
    coalesce(link.urls, 0) as urls,
    exists (
        select 1
        from tracked_campaign
        where tracked_campaign.campaign_id is not distinct from latest_name.campaign_id
    ) as is_tracked,
from latest_name
left join link on latest_name.campaign_id = link.campaign_id;
