-- the standard normal quantile of a two-sided 95 % interval, a DOUBLE: a DECIMAL
-- literal would overflow on large counts (cast, not e0: a lake keeps the text and drops
-- the e0)
create or replace macro normal_z() as cast(1.959963984540054 as double);
