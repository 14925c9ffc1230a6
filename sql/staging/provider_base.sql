-- grain: that of message_base, with the mailbox provider of the recipient
create or replace view provider_base as
select
    message_base.*,
    coalesce(provider_domain.provider, 'other') as provider,
from message_base
left join provider_domain
    on address_domain(message_base.recipient) = provider_domain.domain;
