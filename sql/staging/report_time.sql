-- a naive UTC timestamp → naive local time in the report zone
create or replace macro report_time(utc_at) as (
    (utc_at at time zone 'UTC') at time zone report_timezone()
);
