-- address → the form in which recipients are compared: stripped, in lower case
create or replace macro recipient_key(address) as lower(trim(address));
