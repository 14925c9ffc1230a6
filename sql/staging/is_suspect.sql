-- the suspect rule: an unsubscribe shortly after a click of a burst of the same message
create or replace macro is_suspect(changed_at, burst_at) as (
    coalesce(
        list_max(list_filter(
            cast(burst_at as timestamp[]), lambda clicked_at: clicked_at <= changed_at
        ))
        >= changed_at - threshold_time('burst_reach_seconds'),
        false
    )
);
