-- a share as words: '62.0%'
create or replace macro percent(share) as (format('{:.1f}%', 100.0 * share));
