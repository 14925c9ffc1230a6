-- grain: one row per recipient (lower case) with a message or a subscription change
-- consecutive_soft_bounces = soft-bounced messages since the last accepted message or
-- unflagged reaction; a hard bounce stands until an unflagged reaction after it;
-- suppress and suppress_reason follow bounce_class.suppress_after, unsubscribes and
-- complaints
create or replace view recipient_health as
select
    recipient,
    address_domain(recipient) as recipient_domain,
    case
        when complained_at is not null then 'complained'
        when is_unsubscribed then 'unsubscribed'
        when hard_reason is not null then 'hard bounce: ' || hard_reason
        when repeated_reason is not null then 'repeated bounces: ' || repeated_reason
    end as suppress_reason,
    attempted,
    accepted,
    bounced,
    consecutive_soft_bounces,
    hard_bounced_at is not null as hard_bounced,
    suppress_reason is not null as suppress,
    last_attempted_at,
    last_accepted_at,
    hard_bounced_at,
    unsubscribed_at,
    complained_at,
    last_human_at as last_human_event_at,
from recipient_state;
