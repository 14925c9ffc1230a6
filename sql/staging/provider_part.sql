-- grain: that of message_part, with the mailbox provider of the recipient
create or replace view provider_part as
select
    message_part.*,
    coalesce(provider_domain.provider, 'other') as provider,
from message_part
left join provider_domain
    on address_domain(message_part.recipient) = provider_domain.domain;
