-- upper limit around a pooled rate for a group of `trials`: limit_lo of those that did
-- not
create or replace macro limit_hi(pooled_rate, trials, z, spread) as (
    1 - limit_lo(1 - pooled_rate, trials, z, spread)
);
