-- grain: word_key(bounce_category) × dsn_code as they occur: our class, and the
-- category it is meant by; category first, then DSN detail, then DSN class
create or replace view bounce_meaning as
with seen as (
    select distinct
        word_key(bounce_category) as category,
        dsn_code,
    from bounce
),

part as (
    select
        category,
        dsn_code,
        split_part(dsn_code, '.', 1) as dsn_digit,
        split_part(dsn_code, '.', 2) || '.' || split_part(dsn_code, '.', 3) as exact,
        split_part(dsn_code, '.', 2) || '.*' as wildcard,
    from seen
),

meant as (
    select
        part.category,
        part.dsn_code,
        part.dsn_digit,
        coalesce(
            by_category.bounce_category,
            by_detail.bounce_category,
            by_subject.bounce_category
        ) as meant_category,
    from part
    left join bounce_class as by_category on part.category = by_category.bounce_category
    left join dsn_detail as by_detail on part.exact = by_detail.detail
    left join dsn_detail as by_subject on part.wildcard = by_subject.detail
)

select
    meant.category,
    meant.dsn_code,
    meant.meant_category,
    coalesce(bounce_class.bounce_class, dsn_class.bounce_class, 'undetermined')
        as bounce_class,
from meant
left join bounce_class on meant.meant_category = bounce_class.bounce_category
left join dsn_class on meant.dsn_digit = dsn_class.class;
