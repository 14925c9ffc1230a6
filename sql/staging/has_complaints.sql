-- whether the provider has ever sent a complaint event
create or replace macro has_complaints() as (
    exists (select 1 from reaction_event where kind = 'complaint')
);
