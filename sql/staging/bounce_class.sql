-- grain: one row per bounce category: our class, what to do, and after how many such
-- bounces in a row a recipient is suppressed (NULL: never), or once they have gone on
-- for so many days; the usual DSN codes beside it
create or replace table bounce_class as
select
    bounce_category,
    bounce_class,
    usual_dsn,
    advice,
    cast(suppress_after as integer) as suppress_after,
    cast(suppress_after_transient as integer) as suppress_after_transient,
    cast(suppress_after_days as integer) as suppress_after_days,
from (
    values
        ('bad-mailbox', 'hard', 'x.1.1, x.1.3, x.1.6, x.2.0',
            'Suppress the address now.', 1, 1, null),
        ('inactive-mailbox', 'hard', 'x.2.1, x.7.13',
            'Suppress the address; after a code of 4.x only the second time.',
            1, 2, null),
        ('bad-domain', 'hard', 'x.1.2, x.1.10',
            'Suppress the address, and look for typos in the list.', 1, 1, null),
        ('quota-issues', 'soft', 'x.2.2, x.3.1, x.3.4',
            'Suppress the address after 7 in a row.', 7, 7, null),
        ('message-expired', 'soft', 'x.4.7',
            'Retry, and watch the provider.', null, null, null),
        ('no-answer-from-host', 'soft', 'x.4.1',
            'Retry; suppress the address once the domain has not answered for 14 days.',
            null, null, 14),
        ('bad-connection', 'soft', 'x.4.2', 'Retry.', null, null, null),
        ('routing-errors', 'soft', 'x.4.3, x.4.4, x.4.6',
            'Check the domain''s MX; suppress the address after 3 in a row.',
            3, 3, null),
        ('bad-configuration', 'soft', 'x.3.5', 'Retry.', null, null, null),
        ('protocol-errors', 'soft', 'x.5.x',
            'Open a ticket; never suppress the address.', null, null, null),
        ('relaying-issues', 'block', 'x.7.1',
            'Retry once, then suppress the address.', 2, 2, null),
        ('policy-related', 'block', 'x.7.0, x.7.2, x.7.26',
            'Fix the authentication; an address that got 5.4.1 is probably dead.',
            null, null, null),
        ('spam-related', 'block', 'x.7.1',
            'Mend the sender''s reputation; pause mail to the provider that said so.',
            null, null, null),
        ('content-related', 'block', 'x.6.x, x.7.7',
            'Fix the message.', null, null, null),
        ('virus-related', 'block', 'x.7.x',
            'Stop sending, and check the links.', null, null, null),
        ('invalid-sender', 'block', 'x.1.7, x.1.8, x.7.27',
            'Fix the DNS now.', null, null, null)
) as classes (
    bounce_category, bounce_class, usual_dsn, advice,
    suppress_after, suppress_after_transient, suppress_after_days
);
