-- message id as received → UUID that names the message: strip spaces and <>; the part
-- before the last @ when that is a UUID, else the MD5 of the stripped id as one
create or replace macro message_key(message_id) as (
    case
        when regexp_full_match(
            regexp_replace(trim(message_id, e' \t\n\r\f\v<>'), '@[^@]*$', ''),
            '[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}'
        )
            then cast(
                regexp_replace(trim(message_id, e' \t\n\r\f\v<>'), '@[^@]*$', '')
                as uuid
            )
        else cast(md5(trim(message_id, e' \t\n\r\f\v<>')) as uuid)
    end
);
