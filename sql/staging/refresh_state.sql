-- grain: one row: the definitions (classes, thresholds, providers), with the digest of
-- sql/refresh, and the number of events that the kept tables were made with: when they
-- no longer fit, sql/refresh begins anew
create table if not exists refresh_state (
    definitions varchar,
    events bigint
);
