-- grain: field × word of the provider's events that known_word does not list
create or replace view unknown_words as
select
    field,
    shown_word(word) as word,
    cast(sum(events) as bigint) as events,
    min(first_seen_at) as first_seen_at,
    max(last_seen_at) as last_seen_at,
    cast(report_time(min(first_seen_at)) as date) as first_seen_date,
    cast(report_time(max(last_seen_at)) as date) as last_seen_date,
from unknown_word_use
group by field, shown_word(word);
