-- the standard normal quantile of a two-sided 95 % interval
create or replace macro normal_z() as 1.959963984540054;
