-- grain: one row per campaign id that any event names, with its latest name
create or replace view campaign as
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
)

select
    campaign_id,
    arg_max(campaign_name, (occurred_at, campaign_name))
        filter (campaign_name is not null) as campaign_name,
from named
where campaign_id is not null
group by campaign_id;
