-- the hours after delivery at which campaigns are compared, as many as count_by_age has
create or replace macro compared_ages() as (
    cast([1, 6, 24, 72, 168] as bigint[])
);
