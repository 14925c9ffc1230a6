-- The duplicates of a kind, a domain and a quarter hour in one row, whatever loads they
-- came in.
create or replace temp table refresh_tally as
select
    kind,
    sender_domain,
    occurred_at,
    cast(sum(duplicates) as bigint) as duplicates,
from duplicate_tally
group by kind, sender_domain, occurred_at
having sum(duplicates) <> 0;

set variable refresh_tally_is_split = (
    (select count(*) from duplicate_tally) > (select count(*) from refresh_tally)
);

delete from duplicate_tally
where getvariable('refresh_tally_is_split');

insert into duplicate_tally by name
select *
from refresh_tally
where getvariable('refresh_tally_is_split');

drop table refresh_tally;
