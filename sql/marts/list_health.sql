-- grain: one row: how many recipients there are, and how many to stop writing to, each
-- of these by its one reason
-- reached = recipients to whom mail was accepted since since_date; never_reacted =
-- those of them without an unflagged reaction
create or replace view list_health as
select
    count(*) as recipients,
    count(*) filter (suppress) as to_suppress,
    count(*) filter (suppress_reason like 'hard%') as hard_bounced,
    count(*) filter (suppress_reason like 'repeated%') as repeatedly_bounced,
    count(*) filter (suppress_reason = 'unsubscribed') as unsubscribed,
    count(*) filter (suppress_reason = 'complained') as complained,
    count(*) filter (accepted > 0) as reached,
    count(*) filter (accepted > 0 and last_human_event_at is null) as never_reacted,
    rate(to_suppress, recipients) as suppress_rate,
    rate(never_reacted, reached) as never_reacted_rate,
    (
        select cast(report_time(min(occurred_at)) as date) from delivered
    ) as since_date,
from recipient_health;
