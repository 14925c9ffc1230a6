-- grain: one row per campaign id that any event names (NULL: events of none): its
-- latest name, the distinct URLs clicked in it, and whether any open, click or
-- subscription change names it or reached it; kept by sql/refresh
create table if not exists campaign (
    campaign_id varchar,
    campaign_name varchar,
    urls bigint,
    is_tracked boolean
);
