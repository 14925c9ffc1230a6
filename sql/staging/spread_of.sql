-- an aggregate: by how much groups differ beyond chance anyway, as the standard
-- deviation of their log-odds, 0 where chance makes as much: the median of what each
-- tells (excess_variance), so that incidents do not move it; as few tell it badly,
-- larger by 5 / groups
create or replace macro spread_of(excess) as (
    sqrt(greatest(0.0, coalesce(median(excess), 0.0)))
    * (1 + 5.0 / greatest(1, count(excess)))
);
