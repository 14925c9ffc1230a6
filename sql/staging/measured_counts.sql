-- grain: campaign × age_hours (NULL: as it stands now): the counts that rates are made
-- of; bounces, being final, stand beside every age unchanged
create or replace view measured_counts as
with report as materialized (
    select * from campaign_counts where campaign_id is not null
)

select
    campaign_id,
    cast(null as bigint) as age_hours,
    is_tracked,
    attempted,
    accepted,
    bounced,
    opened,
    clicked,
    opened_human,
    clicked_human,
    unsubscribed,
from report
union all by name
select
    campaign_age.campaign_id,
    campaign_age.age_hours,
    campaign_age.is_tracked,
    report.attempted,
    campaign_age.accepted,
    report.bounced,
    campaign_age.opened,
    campaign_age.clicked,
    campaign_age.opened_human,
    campaign_age.clicked_human,
    campaign_age.unsubscribed,
from campaign_age
inner join report on campaign_age.campaign_id = report.campaign_id
where campaign_age.is_reached;
