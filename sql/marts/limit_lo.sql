-- lower control limit around a pooled rate for a group of `trials`, z standard errors away,
-- never below 0 (a day's control limits)
create or replace macro limit_lo(pooled_rate, trials, z) as (
    greatest(0.0, pooled_rate - z * sqrt(pooled_rate * (1 - pooled_rate) / nullif(trials, 0)))
);
