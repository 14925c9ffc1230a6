-- grain: campaign × measure of measure_rates, where its rate no longer rises (is_final)
create or replace view final_rate as
select
    campaign_id,
    campaign_name,
    first_delivered_at,
    measure,
    numerator,
    denominator,
    rate,
    rate_lo,
    rate_hi,
    is_small,
from measure_rates('campaign_counts')
where campaign_id is not null
    and rate is not null
    and is_final(measure, last_delivered_at);
