-- the standard normal quantile of a two-sided 99.8 % interval: control limits
create or replace macro normal_z_998() as cast(3.090232306167813 as double);
