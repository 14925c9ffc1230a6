-- Whose row changes: the recipients of what was touched, and those who clicked in a
-- campaign that has more or fewer URLs than before, as the coverage rule is of them.
create or replace temp table refresh_changed as
with resized as (
    select campaign_id
    from refresh_campaign
    left join refresh_urls using (campaign_id)
    left join campaign using (campaign_id)
    where refresh_urls.urls is distinct from campaign.urls
)

select recipient
from refresh_key
union
select recipient
from refresh_touched_delivered
union
select recipient
from message_reaction
where least_window_urls is not null
    and campaign_id in (select campaign_id from resized);

delete from recipient_state
where recipient in (select recipient from refresh_changed);

-- The rows of a table: all of them, or those of whom a row changes.
create or replace temp macro refresh_rows(source) as table
select source.*
from query_table(source) as source
cross join (select 1 from refresh_plan where is_full) as gate
union all
select *
from query_table(source)
where recipient_key(recipient) in (select recipient from refresh_changed);
