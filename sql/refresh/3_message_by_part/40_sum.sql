-- What the events of each message key and recipient sum up to, before their message is
-- looked for.
create or replace temp table refresh_sum as
select
    message_key,
    recipient_number(recipient) as recipient_number,
    count(*) filter (kind = 'open') as opens,
    count(*) filter (kind = 'click') as clicks,
    count(*) filter (kind not in ('open', 'click')) as others,
    bool_or(url is not null) as has_url,
    min(occurred_at) filter (kind = 'open') as first_opened_at,
    max(occurred_at) filter (kind = 'open') as last_opened_at,
    min(occurred_at) filter (kind = 'click') as first_clicked_at,
from refresh_event
group by message_key, recipient_number(recipient);
