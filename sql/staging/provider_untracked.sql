-- grain: mailbox provider of untracked_message: how many they are
create or replace view provider_untracked as
select
    provider,
    count(*) as untracked,
from with_provider('untracked_message')
group by provider;
