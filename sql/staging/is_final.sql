-- whether what became of mail delivered until then no longer changes: opens, clicks and
-- complaints, or bounces that come later, once it is comparable; where nothing was
-- delivered, at once
create or replace macro is_final(last_delivered_at) as (
    coalesce(
        last_delivered_at <= report_now() - threshold_time('comparable_hours'),
        true
    )
);
