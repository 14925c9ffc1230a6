-- grain: moment of an unattributed bounce: how many there were until then
create or replace view unattributed_until as
select
    bounced_at,
    cast(sum(count(*)) over (order by bounced_at) as bigint) as bounced_until,
from message_dense
where campaign_id is null and bounced_at is not null
group by bounced_at;
