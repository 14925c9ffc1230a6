-- grain: day, in the report zone, of delivery (of the bounce where nothing was
-- delivered)
-- counts as in outcome_counts, rates as in outcome_rates: events count on the day of
-- their message, so a rate of an old day still rises; tracked_accepted = accepted
-- messages of tracked campaigns: rates of reactions are of all accepted, and NULL where
-- it is 0
create or replace view daily_report as
select
    * exclude (is_tracked, tracked_accepted, rated, has_complaints),
    is_tracked,
    tracked_accepted,
    hours_between(last_delivered_at, report_now()) as age_hours,
    maturity(hours_between(last_delivered_at, report_now())) as maturity,
from outcome_rates('daily_counts');
