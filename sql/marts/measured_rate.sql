-- grain: campaign × measure (delivery, bounce, open, click, unsubscribe, complaint) ×
-- age_hours (NULL: as it stands now); opens and clicks are those by people, gross_rate
-- those of machines included; complaints are not told by age
create or replace view measured_rate as
select
    campaign_id,
    measure,
    measure_number,
    age_hours,
    numerator,
    denominator,
    rate,
    rate_lo,
    rate_hi,
    gross_numerator,
    gross_rate,
    is_small,
from measure_rates('measured_counts', accepted_then);
