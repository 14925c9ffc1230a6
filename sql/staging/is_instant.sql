-- the instant rule: a click soon after its message's delivery, or before it
create or replace macro is_instant(clicked_at, delivered_at) as (
    coalesce(
        clicked_at <= delivered_at + threshold_time('instant_click_seconds'), false
    )
);
