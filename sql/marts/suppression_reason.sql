-- grain: reason for suppression: recipients, as a share of all to suppress
create or replace view suppression_reason as
with listed as materialized (
    select suppress_reason
    from recipient_health
    where suppress
)

select
    suppress_reason,
    count(*) as recipients,
    rate(recipients, (select count(*) from listed)) as recipient_share,
from listed
group by suppress_reason;
