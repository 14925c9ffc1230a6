-- The thresholds as constants while a refresh runs: looked up in their table by
-- millions of rows they cost a tenth of it. What the macros of the same names say
-- elsewhere.
set variable refresh_threshold = (
    select map(list(name), list(value))
    from metric_threshold
);

set variable refresh_threshold_time = (
    select map(list(name), list(to_seconds(value * if(unit = 'hours', 3600, 1))))
    from metric_threshold
);

create or replace temp macro threshold(threshold_name) as (
    getvariable('refresh_threshold')[threshold_name]
);

create or replace temp macro threshold_time(threshold_name) as (
    getvariable('refresh_threshold_time')[threshold_name]
);
