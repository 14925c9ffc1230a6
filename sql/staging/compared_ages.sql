-- the hours after delivery at which campaigns are compared, as count_by_age counts them
create or replace macro compared_ages() as (
    cast([1, 6, 24, 72, 168] as bigint[])
);
