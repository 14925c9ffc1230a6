-- the value of one row of metric_threshold
create or replace macro threshold(threshold_name) as (
    select value from metric_threshold where name = threshold_name
);
