-- grain: mailbox provider of untracked_message: how many they are
create or replace view provider_untracked as
select
    coalesce(provider_domain.provider, 'other') as provider,
    count(*) as untracked,
from untracked_message
left join provider_domain
    on address_domain(untracked_message.recipient) = provider_domain.domain
group by all;
