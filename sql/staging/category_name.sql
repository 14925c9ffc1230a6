-- a bounce's category as pages name it: 'no category' for a blank one
create or replace macro category_name(bounce_category) as (
    coalesce(nullif(trim(bounce_category), ''), 'no category')
);
