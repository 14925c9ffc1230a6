-- the last day, in the report zone, that is not ahead of the clock by more than a day
create or replace macro tomorrow() as (
    cast(report_time(report_now()) as date) + 1
);
