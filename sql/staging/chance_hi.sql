-- upper limit of what chance makes of a pooled rate in a group of `trials`, z standard
-- errors away: chance_lo of those that did not
create or replace macro chance_hi(pooled_rate, trials, z) as (
    1 - chance_lo(1 - pooled_rate, trials, z)
);
