-- an aggregate: how many rows have `hours` at most each of compared_ages
create or replace macro count_by_age(hours) as [
    count(*) filter (hours <= compared_ages()[1]),
    count(*) filter (hours <= compared_ages()[2]),
    count(*) filter (hours <= compared_ages()[3]),
    count(*) filter (hours <= compared_ages()[4]),
    count(*) filter (hours <= compared_ages()[5])
];
