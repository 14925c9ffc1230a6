-- grain: number of soft bounces in a row, the largest standing for as many and more
-- (is_or_more): recipients who are there
create or replace view soft_bounce_run as
with run as (
    select
        least(consecutive_soft_bounces, most) as soft_bounces_in_a_row,
        consecutive_soft_bounces >= most as is_or_more,
    from recipient_health
    cross join (select 7 as most) as limit_of_runs
    where consecutive_soft_bounces > 0
)

select
    soft_bounces_in_a_row,
    count(*) as recipients,
    is_or_more,
from run
group by soft_bounces_in_a_row, is_or_more;
