-- grain: one row: how many recipients there are, and how many to stop writing to, each
-- of these by its one reason
create or replace view list_health as
select
    count(*) as recipients,
    count(*) filter (suppress) as to_suppress,
    count(*) filter (suppress_reason like 'hard%') as hard_bounced,
    count(*) filter (suppress_reason like 'repeated%') as repeatedly_bounced,
    count(*) filter (suppress_reason = 'unsubscribed') as unsubscribed,
    count(*) filter (suppress_reason = 'complained') as complained,
    count(*) filter (last_human_event_at is null) as never_reacted,
    rate(count(*) filter (suppress), count(*)) as suppress_rate,
    rate(count(*) filter (last_human_event_at is null), count(*)) as never_reacted_rate,
from recipient_health;
