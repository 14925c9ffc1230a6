-- days → an aggregate: the newest that is not ahead of the clock (tomorrow); where
-- all are, the newest
create or replace macro newest_day(day) as (
    coalesce(max(day) filter (day <= tomorrow()), max(day))
);
