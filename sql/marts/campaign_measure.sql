-- grain: campaign × measure: its rate now and, at the greatest age that it has reached,
-- beside the median of its peers (campaign_peer) at that age; difference and stands_out
-- (median outside the interval, at least 3 peers, not small) are NULL without peers
create or replace view campaign_measure as
with rated as materialized (
    select * from measured_rate
),

reached as (
    select
        campaign_id,
        max(age_hours) as compared_at_hours,
    from rated
    group by campaign_id
),

median_of_peers as (
    select
        reached.campaign_id,
        peer_rate.measure,
        count(peer_rate.rate) as peers,
        median(peer_rate.rate) as compared_rate,
    from reached
    inner join campaign_peer on reached.campaign_id = campaign_peer.campaign_id
    inner join rated as peer_rate
        on campaign_peer.peer_id = peer_rate.campaign_id
        and reached.compared_at_hours = peer_rate.age_hours
    group by reached.campaign_id, peer_rate.measure
)

select
    now_rate.campaign_id,
    now_rate.measure,
    now_rate.measure_number,
    now_rate.numerator,
    now_rate.denominator,
    median_of_peers.peers,
    reached.compared_at_hours,
    now_rate.rate,
    now_rate.rate_lo,
    now_rate.rate_hi,
    same_age.rate as same_age_rate,
    median_of_peers.compared_rate,
    same_age.rate - median_of_peers.compared_rate as difference,
    now_rate.is_small,
    coalesce(
        median_of_peers.peers >= 3
        and not now_rate.is_small
        and median_of_peers.compared_rate
        not between same_age.rate_lo and same_age.rate_hi,
        false
    ) as stands_out,
from rated as now_rate
left join reached on now_rate.campaign_id = reached.campaign_id
left join rated as same_age
    on now_rate.campaign_id = same_age.campaign_id
    and now_rate.measure = same_age.measure
    and reached.compared_at_hours = same_age.age_hours
left join median_of_peers
    on now_rate.campaign_id = median_of_peers.campaign_id
    and now_rate.measure = median_of_peers.measure
where now_rate.age_hours is null;
