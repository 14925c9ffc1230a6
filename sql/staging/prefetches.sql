-- whether a mailbox provider opens mail for its people: Apple's opens say nothing
create or replace macro prefetches(provider) as provider = 'icloud';
