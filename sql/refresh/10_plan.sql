-- What is to be done: everything (is_full) when nothing is kept yet, when definitions have
-- changed, when a large part was touched, or when events came or went and nobody said
-- which; else the keys of refresh_key.
-- An event reaches a message of its own recipient only, and but for the fallback by
-- campaign only through its own key. So a change touches its own key, and, where its
-- recipient has (or had) an event that no message id matches, every key of that recipient.
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

create or replace temp table refresh_recipient as
with known as (
    select
        message_key,
        recipient_key(recipient) as recipient,
    from delivered
    where message_key in (select message_key from refresh_key)
    union all
    select
        message_key,
        recipient_key(recipient) as recipient,
    from bounce
    where message_key in (select message_key from refresh_key)
),

unmatched as (
    select recipient
    from refresh_key
    anti join known using (message_key, recipient)
    union all
    select recipient
    from event_fallback
    where recipient in (select recipient from refresh_key)
)

select distinct recipient
from unmatched;

insert into refresh_key
select
    message_key,
    recipient,
from message_base
where recipient in (select recipient from refresh_recipient)
union
select
    event_key as message_key,
    recipient,
from event_fallback
where recipient in (select recipient from refresh_recipient)
except
select
    message_key,
    recipient,
from refresh_key;

-- Of every pair of branches over all or some events only one reads: a join with an empty
-- side ends at once.
create or replace temp view refresh_event as
select reaction_event.*
from reaction_event
cross join (select 1 from refresh_plan where is_full) as gate
union all
select touched.*
from (
    select *
    from reaction_event
    where message_key in (select message_key from refresh_key)
) as touched
semi join refresh_key
    on touched.message_key = refresh_key.message_key
    and touched.recipient = refresh_key.recipient;
