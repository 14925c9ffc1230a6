-- grain: one row per word that a field of the provider's events is known to hold
create or replace table known_word as
select
    field,
    word,
from (
    values
        ('sync_type', 'sync'), ('sync_type', 'async'),
        ('change', 'unsubscribe'), ('change', 'resubscribe'),
        ('bounce_type', 'hard'), ('bounce_type', 'soft'), ('bounce_type', 'expired'),
        ('bounce_type', 'other'), ('bounce_category', 'other'),
        ('kind', 'complaint'), ('kind', 'deferral')
) as words (field, word)
union all
select
    'bounce_category' as field,
    bounce_category as word,
from bounce_class;
