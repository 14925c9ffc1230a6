-- grain: one row per recipient to stop writing to, with the reason: the only mart for
-- pages that holds addresses
create or replace view suppression_list as
select
    recipient,
    suppress_reason,
    consecutive_soft_bounces,
    cast(
        report_time(
            coalesce(complained_at, unsubscribed_at, hard_bounced_at, last_attempted_at)
        ) as date
    ) as since_date,
from recipient_health
where suppress;
