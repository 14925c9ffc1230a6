-- whether a measure of mail delivered until then no longer rises: delivery and bounce
-- at once, opens, clicks and unsubscribes once they are comparable
create or replace macro is_final(measure, last_delivered_at) as (
    measure in ('delivery', 'bounce')
    or last_delivered_at <= report_now() - threshold_time('comparable_hours')
);
