-- grain: one row per recipient to stop writing to, with the reason: the only mart for
-- pages that holds addresses
create or replace view suppression_list as
select
    recipient,
    suppress_reason,
    consecutive_soft_bounces,
    cast(
        report_time(
            case
                when suppress_reason = 'complained' then complained_at
                when suppress_reason = 'unsubscribed' then unsubscribed_at
                when suppress_reason like 'hard%' then hard_bounced_at
                else last_attempted_at
            end
        ) as date
    ) as since_date,
from recipient_health
where suppress;
