-- address → its domain in lower case, NULL when it has none; 'Name <a@b>' reads as a@b
create or replace macro address_domain(address) as (
    if(contains(address, '@'), lower(rtrim(split_part(address, '@', -1), ' >')), null)
);
