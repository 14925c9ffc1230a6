-- the variance of log-odds, beyond that of chance, of which one distance of a rate of
-- `trials` from the pooled one tells: that of a normal distribution half of which lies
-- as near (0.6745 standard deviations); below 0 where chance alone makes more
create or replace macro excess_variance(distance, pooled_rate, trials) as (
    pow(distance / nullif(0.6745 * pooled_rate * (1 - pooled_rate), 0), 2)
    - 1 / nullif(trials * pooled_rate * (1 - pooled_rate), 0)
);
