-- messages needed in each of two groups to see the difference of two rates at 5 %
-- (two-sided) with 80 % power (Fleiss 1981); NULL when the rates are equal
create or replace macro sample_size(rate_1, rate_2) as (
    try_cast(ceil(pow(
        normal_z() * sqrt((rate_1 + rate_2) * (2 - rate_1 - rate_2) / 2)
        + cast(0.8416212335729143 as double)
        * sqrt(rate_1 * (1 - rate_1) + rate_2 * (1 - rate_2)),
        2
    ) / nullif(pow(rate_1 - rate_2, 2), 0)) as bigint)
);
