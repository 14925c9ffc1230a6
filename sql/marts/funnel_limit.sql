-- grain: measure × size, on 61 sizes in equal ratios from somewhat below the smallest
-- to somewhat above the largest campaign: the lines of a funnel plot
create or replace view funnel_limit as
with extent as (
    select
        measure,
        any_value(pooled_rate) as pooled_rate,
        any_value(spread) as spread,
        min(size) / 1.15 as least,
        max(size) * 1.15 as greatest,
    from funnel_plot
    group by measure
),

step as (
    select
        measure,
        pooled_rate,
        spread,
        least * pow(greatest / least, unnest(range(61)) / 60.0) as size,
    from extent
)

select distinct
    measure,
    size,
    pooled_rate,
    spread,
    limit_lo(pooled_rate, size, normal_z(), spread) as limit_lo_95,
    limit_hi(pooled_rate, size, normal_z(), spread) as limit_hi_95,
    limit_lo(pooled_rate, size, normal_z_998(), spread) as limit_lo_998,
    limit_hi(pooled_rate, size, normal_z_998(), spread) as limit_hi_998,
from step;
