-- days → an aggregate: the newest that is not ahead of the clock by more than a day;
-- where all are, the newest
create or replace macro newest_day(day) as (
    coalesce(
        max(day) filter (day <= cast(report_time(report_now()) as date) + 1),
        max(day)
    )
);
