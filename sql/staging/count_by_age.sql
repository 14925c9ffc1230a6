-- an aggregate: how many of the rows that hold `condition` have `hours` at most each of
-- the ages of report_age, in their order
create or replace macro count_by_age(condition, hours) as [
    count(*) filter (condition and hours <= 1),
    count(*) filter (condition and hours <= 6),
    count(*) filter (condition and hours <= 24),
    count(*) filter (condition and hours <= 72),
    count(*) filter (condition and hours <= 168)
];
