-- grain: that of message_base, with the mailbox provider of the recipient
create or replace view provider_base as
select *
from with_provider('message_base');
