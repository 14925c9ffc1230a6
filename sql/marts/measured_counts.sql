-- grain: campaign × age_hours (NULL: as it stands now): the counts that rates are made
-- of, each message as old as that (accepted_then: not yet returned by then); complaints
-- are not told by age
create or replace view measured_counts as
with report as materialized (
    select * from campaign_counts where campaign_id is not null
)

select
    campaign_id,
    cast(null as bigint) as age_hours,
    is_tracked,
    has_complaints,
    attempted,
    accepted,
    accepted as accepted_then,
    bounced,
    opened,
    clicked,
    opened_human,
    clicked_human,
    unsubscribed,
    complained,
from report
union all by name
select
    campaign_age.campaign_id,
    campaign_age.age_hours,
    campaign_age.is_tracked,
    report.attempted,
    campaign_age.accepted,
    report.accepted + coalesce(late_bounce.late_returned, 0) as accepted_then,
    report.bounced - coalesce(late_bounce.late_bounced, 0) as bounced,
    campaign_age.opened,
    campaign_age.clicked,
    campaign_age.opened_human,
    campaign_age.clicked_human,
    campaign_age.unsubscribed,
from campaign_age
inner join report on campaign_age.campaign_id = report.campaign_id
left join late_bounce
    on campaign_age.campaign_id = late_bounce.campaign_id
    and campaign_age.age_hours = late_bounce.age_hours
where campaign_age.is_reached;
