-- grain: one row per recipient (lower case) with a message, a subscription change or a
-- complaint
-- consecutive_soft_bounces = soft-bounced messages since the last accepted message or
-- unflagged reaction; a hard bounce stands until an unflagged reaction after it
-- (hard_bounced_at = the latest); suppress and suppress_reason follow bounce_class
-- (suppress_after and the like), unsubscribes (until resubscribed: a word that nobody
-- knows changes nothing) and complaints, those that no message is known of too
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
    hard_bounced_at > coalesce(last_human_at, timestamp '-infinity') is true
        as hard_bounced,
    suppress_reason is not null as suppress,
    last_attempted_at,
    last_accepted_at,
    hard_bounced_at,
    unsubscribed_at,
    complained_at,
    last_human_at as last_human_event_at,
from recipient_state;
