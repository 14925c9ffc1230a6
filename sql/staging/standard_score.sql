-- how many standard errors a rate of `trials` lies from the pooled one; NULL where that
-- is 0 or 1
create or replace macro standard_score(own_rate, pooled_rate, trials) as (
    (own_rate - pooled_rate) / nullif(sqrt(pooled_rate * (1 - pooled_rate) / trials), 0)
);
