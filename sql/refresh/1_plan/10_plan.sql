-- What is to be done: everything (is_full) when nothing is kept yet, when definitions
-- or these very files (refresh_rules) have changed, as where a loader of another
-- version works on the same lake, when a large part was touched, or when events came
-- or went and nobody said which; else the keys of refresh_key. Everything is done in
-- parts of at most refresh_part_events events, by message key: memory is bounded,
-- however many there are.
-- Of every pair of branches over all or some rows only one reads: a join with an empty
-- side ends at once. Of the touched messages each event table is read once, by key.
-- No query relies on the order of rows here, and keeping it takes memory.
set preserve_insertion_order = false;

create or replace temp table refresh_plan as
with full_plan as (
    select
        not exists (
            select 1
            from refresh_state
            where definitions = definitions() || getvariable('refresh_rules')
                and (events = event_count() or exists (select 1 from refresh_touched))
        )
        or (select count(*) from refresh_touched)
        > least(0.2 * event_count(), getvariable('refresh_part_events')) as is_full,
)

select
    is_full,
    cast(is_full as integer) as fulls,
    is_full or exists (select 1 from refresh_touched) as is_due,
    if(
        is_full,
        greatest(
            1,
            cast(ceil(event_count() / getvariable('refresh_part_events')) as ubigint)
        ),
        1
    ) as parts,
from full_plan;

set variable refresh_parts = (select parts from refresh_plan);

-- Whether a message key is of the part that is being done; outside of parts all are.
create or replace temp macro refresh_is_here(message_key) as (
    coalesce(
        hash(message_key) % getvariable('refresh_parts') = getvariable('refresh_part'),
        true
    )
);

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
    delivered.recipient,
    delivered.campaign_id,
    delivered.sender,
    delivered.occurred_at,
from delivered
cross join (select 1 from refresh_plan where is_full) as gate
where refresh_is_here(delivered.message_key)
union all
select *
from refresh_touched_delivered;

-- What the parts find for the steps after them.
create or replace temp table refresh_unmatched as
select *
from reaction_event
limit 0;

create or replace temp table refresh_special (
    message_key uuid,
    recipient_number ubigint,
    recipient varchar,
    campaign_id varchar,
    accepted boolean,
    attempted_at timestamp,
    delivered_at timestamp
);
