-- grain: one row per class digit of an enhanced status code: the bounce class it means
-- when neither category nor detail is known (4 transient, 5 permanent)
create or replace table dsn_class as
select
    class,
    bounce_class,
from (values ('4', 'soft'), ('5', 'hard')) as classes (class, bounce_class);
