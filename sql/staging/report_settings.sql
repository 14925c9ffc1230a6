-- grain: one row: the zone in which reports cut days and hours; the loader writes it
create table if not exists report_settings (
    timezone varchar
);
