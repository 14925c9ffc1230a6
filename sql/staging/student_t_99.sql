-- the quantile of Student's t of a two-sided 99 % interval for 1 to 11 degrees of
-- freedom, as tables have it: for what is asked of several groups at once; NULL for
-- none
create or replace macro student_t_99(degrees) as (
    [
        63.657, 9.925, 5.841, 4.604, 4.032, 3.707, 3.499, 3.355, 3.25, 3.169, 3.106
    ][degrees]
);
