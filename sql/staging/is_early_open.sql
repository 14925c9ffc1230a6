-- the half of the echo rule that needs no burst: an open soon after its message's
-- delivery, or before it
create or replace macro is_early_open(opened_at, delivered_at) as (
    coalesce(opened_at <= delivered_at + threshold_time('echo_open_seconds'), false)
);
