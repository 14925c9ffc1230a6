-- hours from one time to a later one, with fractions; negative when it is earlier
create or replace macro hours_between(earlier_at, later_at) as (
    (epoch_us(later_at) - epoch_us(earlier_at)) / cast(3600000000 as double)
);
