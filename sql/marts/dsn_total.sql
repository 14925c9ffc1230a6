-- grain: dsn_code × mailbox provider: dsn_report with the code's meaning in words
create or replace view dsn_total as
select
    dsn_report.*,
    case left(dsn_report.dsn_code, 1)
        when '4' then 'transient: '
        when '5' then 'permanent: '
        else ''
    end || coalesce(exact.meaning, subject.meaning, 'not registered') as meaning,
from dsn_report
left join dsn_meaning as exact
    on substr(dsn_report.dsn_code, 3) = exact.detail
left join dsn_meaning as subject
    on split_part(dsn_report.dsn_code, '.', 2) || '.*' = subject.detail;
