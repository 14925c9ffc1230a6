-- now, as a naive UTC timestamp: the only place where a mart looks at a clock
create or replace macro report_now() as (now() at time zone 'UTC');
