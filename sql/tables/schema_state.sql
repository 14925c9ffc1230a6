-- grain: one row: the fingerprint of the SQL files this warehouse was last given
create table if not exists schema_state (
    fingerprint varchar
);
