-- grain: one row per threshold used by a metric; the only place where one is set
create or replace table metric_threshold as
select
    name,
    cast(value as double) as value,
    unit,
    meaning,
from (
    values
        ('burst_urls', 3.0, 'urls', 'distinct URLs by one message that make a burst'),
        ('burst_seconds', 2.0, 'seconds', 'half width of the burst window'),
        ('instant_click_seconds', 5.0, 'seconds', 'a click this soon is a machine''s'),
        ('coverage_share', 0.8, 'share', 'share of a campaign''s URLs that is coverage'),
        ('coverage_urls', 4.0, 'urls', 'least URLs of a campaign for coverage'),
        ('coverage_seconds', 60.0, 'seconds', 'width of the coverage window'),
        ('echo_open_seconds', 20.0, 'seconds', 'an open this soon is a machine''s'),
        ('burst_reach_seconds', 120.0, 'seconds',
            'reach of a burst: back to opens, forward to unsubscribes'),
        ('comparable_hours', 72.0, 'hours', 'age from which rates are comparable'),
        ('maturing_hours', 24.0, 'hours', 'age from which rates are maturing'),
        ('small_attempted', 200.0, 'messages', 'below this rates are greyed out'),
        ('small_reacted', 50.0, 'messages', 'quantiles of fewer reactions are greyed out'),
        ('least_count', 5.0, 'messages',
            'seen or expected: with fewer a difference is not told from chance'),
        ('unattributed_before_hours', 24.0, 'hours',
            'a bounce this long before a campaign''s first delivery may be its own'),
        ('unattributed_after_hours', 168.0, 'hours',
            'a bounce this long after a campaign''s last delivery may be its own'),
        ('late_hours', 24.0, 'hours', 'received this long after it occurred is late'),
        ('gap_hours', 6.0, 'hours', 'least silence of the event stream that is a gap'),
        ('gap_factor', 20.0, 'ratio', 'silence against the usual distance of events'),
        ('async_volume', 1000.0, 'messages',
            'accepted messages from which no async bounce ever is suspicious'),
        ('match_rate_low', 0.95, 'share', 'match rate of message ids that needs a word'),
        ('unattributed_share_high', 0.05, 'share',
            'share of bounces without a campaign that needs a word'),
        ('disagreement_share_high', 0.05, 'share',
            'share of bounces classed otherwise by the provider that needs a word')
) as thresholds (name, value, unit, meaning);
