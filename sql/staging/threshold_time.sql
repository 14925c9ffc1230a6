-- a threshold in seconds or hours as an interval
create or replace macro threshold_time(threshold_name) as (
    select to_seconds(value * if(unit = 'hours', 3600, 1))
    from metric_threshold
    where name = threshold_name
);
