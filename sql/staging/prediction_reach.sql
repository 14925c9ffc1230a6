-- an aggregate: how far from the mean of some values one more of their kind may lie,
-- half the prediction interval at a `level` of 95 or 99 (%): t · s · √(1 + 1 / n), with
-- Student's t as tables have it for up to 12 values (the peers of campaign_peer); NULL
-- of fewer than two
create or replace macro prediction_reach(value, level) as (
    case level
        when 95 then [
            12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201
        ]
        when 99 then [
            63.657, 9.925, 5.841, 4.604, 4.032, 3.707, 3.499, 3.355, 3.25, 3.169, 3.106
        ]
    end[count(value) - 1] * stddev_samp(value) * sqrt(1 + 1.0 / nullif(count(value), 0))
);
