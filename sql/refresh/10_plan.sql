-- What is to be done: everything (is_full) when nothing is kept yet, when definitions have
-- changed, when a large part was touched, or when events came or went and nobody said
-- which; else the keys of refresh_key.
-- Of every pair of branches over all or some rows only one reads: a join with an empty side
-- ends at once. Of the touched messages each event table is read once, by key.
-- No query relies on the order of rows here, and keeping it takes memory.
set preserve_insertion_order = false;

create or replace temp table refresh_plan as
with full_plan as (
    select
        not exists (
            select 1
            from refresh_state
            where definitions = definitions()
                and (events = event_count() or exists (select 1 from refresh_touched))
        )
        or (select count(*) from refresh_touched) > 0.2 * event_count() as is_full,
)

select
    is_full,
    is_full or exists (select 1 from refresh_touched) as is_due,
from full_plan;

create or replace temp table refresh_key as
select distinct
    refresh_touched.message_key,
    recipient_key(refresh_touched.recipient) as recipient,
from refresh_touched
cross join (select 1 from refresh_plan where not is_full) as gate;

create or replace temp table refresh_touched_delivered as
select
    message_key,
    recipient_key(recipient) as recipient,
    campaign_id,
    sender,
    occurred_at,
from delivered
where message_key in (select message_key from refresh_key);

create or replace temp view refresh_delivered as
select
    delivered.message_key,
    recipient_key(delivered.recipient) as recipient,
    delivered.campaign_id,
    delivered.sender,
    delivered.occurred_at,
from delivered
cross join (select 1 from refresh_plan where is_full) as gate
union all
select *
from refresh_touched_delivered;
