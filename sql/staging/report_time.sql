-- a naive UTC timestamp → naive local time in the report zone; of the first and the
-- last days that Python knows, one that is theirs in every zone
create or replace macro report_time(utc_at) as (
    case
        when utc_at < timestamp '0001-01-02' then timestamp '0001-01-02'
        when utc_at >= timestamp '9999-12-31'
            then timestamp '9999-12-30 23:59:59.999999'
        else utc_at
    end at time zone 'UTC' at time zone report_timezone()
);
