-- lower limit of what chance makes of a pooled rate in a group of `trials`, z standard
-- errors away: a binomial quantile by the first term of Cornish and Fisher (1938),
-- continuity corrected; no less than least_count messages that did not are told by it,
-- and none below z²/4 expected ones
create or replace macro chance_lo(pooled_rate, trials, z) as (
    if(
        trials * pooled_rate <= z * z / 4,
        0.0,
        greatest(0.0, least(
            1 - threshold('least_count') / trials,
            pooled_rate - z * sqrt(pooled_rate * (1 - pooled_rate) / trials)
            + ((z * z - 1) * (1 - 2 * pooled_rate) / 6 - 0.5) / trials
        ))
    )
);
