-- the report zone, UTC until the loader has written one
create or replace macro report_timezone() as (
    coalesce((select any_value(timezone) from report_settings), 'UTC')
);
