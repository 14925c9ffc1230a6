-- grain: one row: the zone in which reports cut days and hours
create table if not exists report_settings (
    timezone varchar
);
