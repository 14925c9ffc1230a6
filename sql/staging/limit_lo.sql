-- lower limit around a pooled rate for a group of `trials`, z standard errors away;
-- where groups differ by more than chance, `spread` being the standard deviation of
-- their log-odds, what that makes (odds_lo) is added in squares, as Zou and Donner
-- (2008) add limits; never within what chance makes
create or replace macro limit_lo(pooled_rate, trials, z, spread) as (
    greatest(0.0, pooled_rate - sqrt(
        pow(pooled_rate - chance_lo(pooled_rate, trials, z), 2)
        + pow(pooled_rate - odds_lo(pooled_rate, z * spread), 2)
    ))
);
