-- address as stored (stripped) → the form in which recipients are compared: lower case
create or replace macro recipient_key(address) as lower(address);
