-- grain: reason in the quarantine: lines set aside, and when the first and the last
-- came
create or replace view quarantine_reason as
select
    reason,
    count(*) as lines,
    rate(lines, (select count(*) from quarantine)) as line_share,
    report_time(min(received_at)) as first_received_at_local,
    report_time(max(received_at)) as last_received_at_local,
    min(received_at) as first_received_at,
    max(received_at) as last_received_at,
from quarantine
group by reason;
