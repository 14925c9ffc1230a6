-- Where everything is to be done, nothing is kept. A delete would hold 8 bytes of
-- memory for each row until the end of the transaction, and fail where there are many.
create or replace table message_dense as
from message_dense
limit 0;

create or replace table event_fallback as
from event_fallback
limit 0;

create or replace table message_reaction as
from message_reaction
limit 0;

create or replace table click_moment as
from click_moment
limit 0;

create or replace table campaign as
from campaign
limit 0;

create or replace table recipient_state as
from recipient_state
limit 0;
