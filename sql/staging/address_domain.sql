-- address → its domain in lower case, '' when it has none; 'Name <a@b>' reads as a@b
create or replace macro address_domain(address) as (
    lower(regexp_extract(address, '@([^@>\s]+)>?\s*$', 1))
);
