-- whether the provider has ever sent a complaint event
create or replace macro has_complaints() as (
    exists (select 1 from other_event where word_key(kind) = 'complaint')
);
