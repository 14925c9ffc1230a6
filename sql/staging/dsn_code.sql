-- DSN text ('4.4.7 (delivery time expired)') → its enhanced status code ('4.4.7') or NULL
create or replace macro dsn_code(dsn_status) as (
    nullif(regexp_extract(dsn_status, '\b([245]\.\d{1,3}\.\d{1,3})\b', 1), '')
);
