-- grain: one row per accepted message of a campaign (or of none) that no open, click or
-- subscription change has ever named or reached: whether it was opened is unknown
create or replace view untracked_message as
select
    message_base.campaign_id,
    message_base.recipient,
    message_base.attempted_at,
from message_base
semi join (select campaign_id from campaign where not is_tracked) as untracked
    on message_base.campaign_id is not distinct from untracked.campaign_id
where message_base.accepted;
