-- grain: that of message_part, with the mailbox provider of the recipient
create or replace view provider_part as
select *
from with_provider('message_part');
