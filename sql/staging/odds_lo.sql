-- the rate whose log-odds lie `distance` (at most 700) below those of another
create or replace macro odds_lo(from_rate, distance) as (
    from_rate / (from_rate + (1 - from_rate) * exp(least(distance, 700)))
);
