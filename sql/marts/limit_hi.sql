-- upper control limit around a pooled rate for a group of `trials`, z standard errors away,
-- never above 1 (a day's control limits)
create or replace macro limit_hi(pooled_rate, trials, z) as (
    least(1.0, pooled_rate + z * sqrt(pooled_rate * (1 - pooled_rate) / nullif(trials, 0)))
);
