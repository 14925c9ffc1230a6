-- the echo rule: an open soon after its message's delivery (or before it), or shortly
-- before a click of a burst of the same message
create or replace macro is_echo(opened_at, delivered_at, burst_at) as (
    is_early_open(opened_at, delivered_at)
    or coalesce(
        list_min(list_filter(
            cast(burst_at as timestamp[]), lambda clicked_at: clicked_at >= opened_at
        ))
        <= opened_at + threshold_time('burst_reach_seconds'),
        false
    )
);
