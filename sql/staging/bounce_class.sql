-- grain: one row per bounce category: our class, what to do, and after how many such
-- bounces in a row a recipient is suppressed (NULL: never); the usual DSN codes beside it
create or replace table bounce_class as
select
    bounce_category,
    bounce_class,
    usual_dsn,
    advice,
    cast(suppress_after as integer) as suppress_after,
    cast(suppress_after_transient as integer) as suppress_after_transient,
from (
    values
        ('bad-mailbox', 'hard', 'x.1.1, x.1.3, x.1.6, x.2.0', 'suppress now', 1, 1),
        ('inactive-mailbox', 'hard', 'x.2.1, x.7.13', 'suppress (4.x: after 2)', 1, 2),
        ('bad-domain', 'hard', 'x.1.2, x.1.10', 'suppress; list typos', 1, 1),
        ('quota-issues', 'soft', 'x.2.2, x.3.1, x.3.4', 'suppress after 7 in a row', 7, 7),
        ('message-expired', 'soft', 'x.4.7', 'retry; watch the provider', null, null),
        ('no-answer-from-host', 'soft', 'x.4.1', 'retry; domain after 14 days', null, null),
        ('bad-connection', 'soft', 'x.4.2', 'retry', null, null),
        ('routing-errors', 'soft', 'x.4.3, x.4.4, x.4.6', 'check MX; hard after 3', 3, 3),
        ('bad-configuration', 'soft', 'x.3.5', 'retry', null, null),
        ('protocol-errors', 'soft', 'x.5.x', 'ticket; never suppress', null, null),
        ('relaying-issues', 'block', 'x.7.1', 'retry once, then suppress', 2, 2),
        ('policy-related', 'block', 'x.7.0, x.7.2, x.7.26',
            'fix authentication (with 5.4.1: probably hard)', null, null),
        ('spam-related', 'block', 'x.7.1', 'reputation; pause that provider', null, null),
        ('content-related', 'block', 'x.6.x, x.7.7', 'fix the message', null, null),
        ('virus-related', 'block', 'x.7.x', 'stop; check links', null, null),
        ('invalid-sender', 'block', 'x.1.7, x.1.8, x.7.27', 'fix DNS now', null, null)
) as classes (
    bounce_category, bounce_class, usual_dsn, advice,
    suppress_after, suppress_after_transient
);
