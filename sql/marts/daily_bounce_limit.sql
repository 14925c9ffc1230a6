-- grain: day with a delivery or a bounce: its bounce rate with 99.8 % control limits around
-- the pooled rate for the day's size (p chart)
create or replace view daily_bounce_limit as
with pooled as (
    select
        day,
        attempted,
        bounced,
        bounce_rate,
        is_small,
        rate(sum(bounced) over (), sum(attempted) over ()) as pooled_rate,
    from daily_report
    where attempted > 0
)

select
    day,
    attempted,
    bounced,
    bounce_rate,
    pooled_rate,
    limit_lo(pooled_rate, attempted, normal_z_998()) as limit_lo_998,
    limit_hi(pooled_rate, attempted, normal_z_998()) as limit_hi_998,
    not is_small and bounce_rate not between limit_lo_998 and limit_hi_998
        as is_out_of_control,
    is_small,
from pooled;
