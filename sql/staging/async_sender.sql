-- grain: sender domain (NULL: none given) of which a message bounced after its delivery
create or replace view async_sender as
select distinct address_domain(sender) as sender_domain
from message_dense
where async_bounced_at is not null;
