-- a recipient_key → the number by which the recipients of one message_key are told
-- apart while a refresh holds many of them: its 64-bit hash
create or replace macro recipient_number(recipient) as hash(recipient);
