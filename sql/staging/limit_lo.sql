-- lower limit around a pooled rate for a group of `trials`, z standard errors away,
-- `spread` times as far where groups differ by more than chance; never within what
-- chance makes
create or replace macro limit_lo(pooled_rate, trials, z, spread) as (
    greatest(0.0, least(
        pooled_rate
        - z * spread * sqrt(pooled_rate * (1 - pooled_rate) / nullif(trials, 0)),
        chance_lo(pooled_rate, trials, z)
    ))
);
