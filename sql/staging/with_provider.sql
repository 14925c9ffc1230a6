-- grain: that of the view named by `part`, which has a recipient, with the mailbox
-- provider of the recipient: from with_provider('message_base')
create or replace macro with_provider(part) as table
select
    part.*,
    coalesce(provider_domain.provider, 'other') as provider,
from query_table(part) as part
left join provider_domain on address_domain(part.recipient) = provider_domain.domain;
