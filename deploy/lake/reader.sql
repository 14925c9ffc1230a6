-- An analyst's role: sees the lake's catalog, changes nothing.
-- Run in the catalog's database, as the role that the loaders use:
--   read -rs LAKE_READER_PASSWORD && export LAKE_READER_PASSWORD
--   psql "host=… dbname=lake user=loader" -f reader.sql
-- The password comes in the environment: whoever is on the machine sees a command's arguments.
\getenv password LAKE_READER_PASSWORD
create role lake_reader login password :'password';
grant usage on schema public to lake_reader;
grant select on all tables in schema public to lake_reader;
-- the lake makes a table of its own now and then; the reader sees those too
alter default privileges in schema public grant select on tables to lake_reader;
