-- grain: campaign × measure: its rate now and, at the greatest age that it has reached,
-- beside the median of its peers (campaign_peer) at that age; difference is NULL
-- without peers; gross_rate = opens, clicks of machines included; extreme_rate = the
-- rate, were the unattributed bounces of its time its own
-- is_judged: peers enough (least_peers), and not small; stands_out: judged, the median
-- outside the interval, that of extreme_rate too, enough messages telling so
-- (seen_enough), the campaign's count unlike that of all its peers (pooled z test,
-- significance), and its rate outside the 95 % prediction interval of theirs, for
-- campaigns differ anyway (prediction_reach)
-- machine_rate = gross_rate − rate at the age of the comparison: opens or clicks by
-- machines alone; usual_machine_rate = the median of its peers; machines_stand_out:
-- judged, more than that as its interval tells, and above their prediction interval
create or replace view campaign_measure as
with rated as materialized (
    select
        *,
        gross_numerator - numerator as machine_numerator,
        gross_rate - rate as machine_rate,
    from measured_rate
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
        peers >= threshold('least_peers') as has_peers,
        median(peer_rate.rate) as compared_rate,
        avg(peer_rate.rate) as peers_mean,
        prediction_reach(peer_rate.rate, 95) as peers_reach,
        median(peer_rate.machine_rate) as usual_machine_rate,
        avg(peer_rate.machine_rate) as peers_machine_mean,
        prediction_reach(peer_rate.machine_rate, 95) as peers_machine_reach,
        sum(peer_rate.machine_numerator) as peers_machine_numerator,
        sum(peer_rate.numerator) as peers_numerator,
        sum(peer_rate.denominator) filter (peer_rate.rate is not null)
            as peers_denominator,
    from reached
    inner join campaign_peer on reached.campaign_id = campaign_peer.campaign_id
    inner join rated as peer_rate
        on campaign_peer.peer_id = peer_rate.campaign_id
        and reached.compared_at_hours = peer_rate.age_hours
    group by reached.campaign_id, peer_rate.measure
),

extreme as (
    select
        campaign_id,
        unnest(['delivery', 'bounce']) as measure,
        unnest([accepted, bounced + unattributed_nearby]) as numerator,
        unnest([0, unattributed_nearby]) as added,
        attempted + unattributed_nearby as denominator,
    from campaign_nearby_counts
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
    now_rate.gross_rate,
    rate(extreme.numerator, extreme.denominator) as extreme_rate,
    same_age.rate as same_age_rate,
    median_of_peers.compared_rate,
    same_age.rate - median_of_peers.compared_rate as difference,
    now_rate.is_small,
    coalesce(median_of_peers.has_peers, false) and not now_rate.is_small as is_judged,
    same_age.machine_rate,
    median_of_peers.usual_machine_rate,
    coalesce(
        is_judged
        and differs_from(
            same_age.machine_numerator,
            same_age.denominator,
            median_of_peers.usual_machine_rate
        )
        and two_rates_p(
            same_age.machine_numerator,
            same_age.denominator,
            median_of_peers.peers_machine_numerator,
            median_of_peers.peers_denominator
        ) < threshold('significance')
        and same_age.machine_rate - median_of_peers.peers_machine_mean
        > median_of_peers.peers_machine_reach,
        false
    ) as machines_stand_out,
    coalesce(
        is_judged
        and differs_from(
            same_age.numerator,
            same_age.denominator,
            median_of_peers.compared_rate
        )
        and (
            extreme.denominator is null
            or (
                differs_from(
                    same_age.numerator + extreme.added,
                    extreme.denominator,
                    median_of_peers.compared_rate
                )
                and sign(
                    rate(same_age.numerator + extreme.added, extreme.denominator)
                    - median_of_peers.compared_rate
                ) = sign(difference)
            )
        )
        and two_rates_p(
            same_age.numerator,
            same_age.denominator,
            median_of_peers.peers_numerator,
            median_of_peers.peers_denominator
        ) < threshold('significance')
        and abs(same_age.rate - median_of_peers.peers_mean)
        > median_of_peers.peers_reach,
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
left join extreme
    on now_rate.campaign_id = extreme.campaign_id
    and now_rate.measure = extreme.measure
where now_rate.age_hours is null;
