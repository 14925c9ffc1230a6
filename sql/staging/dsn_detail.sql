-- grain: one row per subject.detail of an enhanced status code (RFC 3463; 'n.*' for the
-- whole subject): the bounce category it usually stands for
create or replace table dsn_detail as
select
    detail,
    bounce_category,
from (
    values
        ('1.1', 'bad-mailbox'), ('1.3', 'bad-mailbox'), ('1.6', 'bad-mailbox'),
        ('2.0', 'bad-mailbox'),
        ('2.1', 'inactive-mailbox'), ('7.13', 'inactive-mailbox'),
        ('1.2', 'bad-domain'), ('1.10', 'bad-domain'),
        ('2.2', 'quota-issues'), ('3.1', 'quota-issues'), ('3.4', 'quota-issues'),
        ('4.7', 'message-expired'), ('4.1', 'no-answer-from-host'),
        ('4.2', 'bad-connection'),
        ('4.3', 'routing-errors'), ('4.4', 'routing-errors'), ('4.6', 'routing-errors'),
        ('3.5', 'bad-configuration'), ('5.*', 'protocol-errors'),
        ('7.1', 'spam-related'), ('7.0', 'policy-related'), ('7.2', 'policy-related'),
        ('7.26', 'policy-related'),
        ('6.*', 'content-related'), ('7.7', 'content-related'),
        ('7.*', 'virus-related'),
        ('1.7', 'invalid-sender'), ('1.8', 'invalid-sender'), ('7.27', 'invalid-sender')
) as details (detail, bounce_category);
