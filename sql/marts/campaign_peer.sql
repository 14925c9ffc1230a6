-- grain: campaign × one of the up to 12 campaigns that its sender domain (or mail
-- without a sender) sent before it; peer_rank 1 is the one just before
create or replace view campaign_peer as
with ranked as (
    select
        campaign_id,
        sender_domain,
        row_number() over (partition by sender_domain order by recency) as sender_rank,
    from campaign_order
    where sent_date is not null
)

select
    ranked.campaign_id,
    peer.campaign_id as peer_id,
    peer.sender_rank - ranked.sender_rank as peer_rank,
from ranked
inner join ranked as peer
    on ranked.sender_domain is not distinct from peer.sender_domain
    and peer.sender_rank - ranked.sender_rank between 1 and 12;
