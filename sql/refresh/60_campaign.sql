-- Campaigns: latest name (of equally late ones the last in the alphabet), distinct URLs,
-- tracked or not; few rows, made anew each time.
delete from campaign
where (select is_due from refresh_plan);

insert into campaign by name
with named_at as (
    select campaign_id, campaign_name, max(occurred_at) as occurred_at
    from delivered
    group by campaign_id, campaign_name
    union all
    select campaign_id, campaign_name, max(occurred_at) as occurred_at
    from bounce
    group by campaign_id, campaign_name
    union all
    select campaign_id, campaign_name, max(occurred_at) as occurred_at
    from open
    group by campaign_id, campaign_name
    union all
    select campaign_id, campaign_name, max(occurred_at) as occurred_at
    from click
    group by campaign_id, campaign_name
    union all
    select campaign_id, campaign_name, max(occurred_at) as occurred_at
    from subscription_changed
    group by campaign_id, campaign_name
    union all
    select campaign_id, campaign_name, max(occurred_at) as occurred_at
    from other_event
    group by campaign_id, campaign_name
),

latest_name as (
    select
        campaign_id,
        arg_max(campaign_name, (occurred_at, campaign_name))
            filter (campaign_name is not null) as campaign_name,
    from named_at
    where campaign_id is not null
    group by campaign_id
    union all
    select
        null as campaign_id,
        null as campaign_name,
),

tracked as (
    select campaign_id from open where campaign_id is not null
    union
    select campaign_id from click where campaign_id is not null
    union
    select campaign_id from subscription_changed where campaign_id is not null
    union
    select campaign_id from message_reaction where opens + clicks + changes > 0
),

link as (
    select
        campaign_id,
        count(distinct url) as urls,
    from message_click
    where campaign_id is not null
    group by campaign_id
)

select
    latest_name.campaign_id,
    latest_name.campaign_name,
    coalesce(link.urls, 0) as urls,
    exists (
        select 1
        from tracked
        where tracked.campaign_id is not distinct from latest_name.campaign_id
    ) as is_tracked,
from latest_name
cross join (select 1 from refresh_plan where is_due) as gate
left join link on latest_name.campaign_id = link.campaign_id;
