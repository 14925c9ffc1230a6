-- the standard normal quantile of a two-sided 95 % interval, a DOUBLE: a DECIMAL literal
-- would overflow on large counts
create or replace macro normal_z() as 1.959963984540054e0;
