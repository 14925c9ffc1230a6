-- grain: field × word × sender domain × quarter hour: uses of words that known_word
-- does not list
create or replace view unknown_word_use as
with word as (
    select
        'bounce_category' as field,
        bounce_category as word,
        sender,
        occurred_at,
    from bounce
    union all
    select 'bounce_type' as field, bounce_type as word, sender, occurred_at from bounce
    union all
    select 'sync_type' as field, sync_type as word, sender, occurred_at from bounce
    union all
    select 'change' as field, change as word, sender, occurred_at
    from subscription_changed
    union all
    select 'kind' as field, kind as word, sender, occurred_at from other_event
)

select
    word.field,
    word_key(word.word) as word,
    address_domain(word.sender) as sender_domain,
    time_bucket(interval 15 minutes, word.occurred_at) as quarter_hour,
    count(*) as events,
    min(word.occurred_at) as first_seen_at,
    max(word.occurred_at) as last_seen_at,
from word
where word_key(word.word) is not null
    and not exists (
        select 1
        from known_word
        where known_word.field = word.field and known_word.word = word_key(word.word)
    )
group by word.field, word_key(word.word), sender_domain, quarter_hour;
