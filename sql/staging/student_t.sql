-- the quantile of Student's t of a two-sided 95 % interval for 1 to 11 degrees of
-- freedom, as tables have it (the up to 12 peers of campaign_peer); NULL for none
create or replace macro student_t(degrees) as (
    [
        12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201
    ][degrees]
);
