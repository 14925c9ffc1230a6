-- grain: one row per bounce event, with our class, whether it is async, and its message's
-- first delivery; category, then DSN detail, then DSN class decide the class
create or replace view bounce_event as
with delivery as (
    select
        message_key,
        recipient_key(recipient) as recipient,
        min(occurred_at) as delivered_at,
    from delivered
    where message_key in (select message_key from bounce)
    group by message_key, recipient_key(recipient)
),

bounced as (
    select
        message_key,
        recipient_key(recipient) as recipient,
        campaign_id,
        address_domain(sender) as sender_domain,
        bounce_category,
        word_key(bounce_category) as category_key,
        bounce_type,
        dsn_code,
        dsn_status,
        word_key(sync_type) as sync_word,
        string_split(dsn_code, '.')[1] as dsn_class_digit,
        string_split(dsn_code, '.')[2] || '.*' as dsn_subject,
        string_split(dsn_code, '.')[2] || '.' || string_split(dsn_code, '.')[3]
            as dsn_subject_detail,
        occurred_at,
        received_at,
    from bounce
)

select
    bounced.message_key,
    bounced.recipient,
    bounced.campaign_id,
    bounced.sender_domain,
    bounced.bounce_category,
    bounced.category_key,
    coalesce(
        by_category.bounce_class,
        by_detail.bounce_class,
        by_subject.bounce_class,
        dsn_class.bounce_class,
        'undetermined'
    ) as bounce_class,
    coalesce(
        by_category.bounce_category,
        exact.bounce_category,
        wildcard.bounce_category
    ) as meant_category,
    bounced.bounce_type,
    bounced.dsn_code,
    bounced.dsn_status,
    bounced.sync_word,
    coalesce(
        bounced.sync_word = 'async',
        delivery.delivered_at is not null
    ) as is_async,
    bounced.occurred_at,
    bounced.received_at,
    delivery.delivered_at,
from bounced
left join delivery
    on bounced.message_key = delivery.message_key
    and bounced.recipient = delivery.recipient
left join bounce_class as by_category
    on bounced.category_key = by_category.bounce_category
left join dsn_detail as exact
    on bounced.dsn_subject_detail = exact.detail
left join bounce_class as by_detail
    on exact.bounce_category = by_detail.bounce_category
left join dsn_detail as wildcard
    on bounced.dsn_subject = wildcard.detail
left join bounce_class as by_subject
    on wildcard.bounce_category = by_subject.bounce_category
left join dsn_class
    on bounced.dsn_class_digit = dsn_class.class;
