-- an aggregate: how many rows have `hours` at most each of 1, 6, 24, 72 and 168
create or replace macro count_by_age(hours) as [
    count(*) filter (hours <= 1),
    count(*) filter (hours <= 6),
    count(*) filter (hours <= 24),
    count(*) filter (hours <= 72),
    count(*) filter (hours <= 168)
];
