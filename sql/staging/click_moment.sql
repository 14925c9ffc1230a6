-- grain: one row per message with several clicks × moment at which it clicked: whether
-- a burst stands there, and the URLs of the coverage window; kept by sql/refresh. A
-- message that clicked once needs no row: it is its own window
create table if not exists click_moment (
    message_key uuid,
    recipient varchar,
    occurred_at timestamp,
    window_urls bigint,
    is_burst boolean
);

-- what a release before this one kept in its place
drop table if exists message_click;
