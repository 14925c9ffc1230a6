-- grain: reason for suppression: recipients, as a share of all to suppress
create or replace view suppression_reason as
select
    suppress_reason,
    count(*) as recipients,
    rate(count(*), sum(count(*)) over ()) as recipient_share,
from recipient_health
where suppress
group by suppress_reason;
