-- grain: number of soft bounces in a row (7 stands for 7 and more): recipients who are
-- there
create or replace view soft_bounce_run as
select
    least(consecutive_soft_bounces, 7) as soft_bounces_in_a_row,
    count(*) as recipients,
from recipient_health
where consecutive_soft_bounces > 0
group by soft_bounces_in_a_row;
