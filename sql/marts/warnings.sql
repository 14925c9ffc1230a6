-- grain: one row per thing that an analyst must know before believing a rate: severity
-- (warning before note), topic, and one sentence in words; no addresses
-- what quality_total checks too it alone judges: a warning where it needs attention
create or replace view warnings as
with quality as materialized (
    select
        check_name,
        found,
        of_all,
        share,
        needs_attention,
        if(needs_attention, 'warning', 'note') as severity,
    from quality_total
),

gap as (
    select
        count(*) as gaps,
        max(hours) as longest_hours,
        arg_max(silent_from, (hours, silent_from)) as longest_from,
        any_value(usual_hours) as usual_hours,
    from event_gap
),

tracking as (
    select
        count(*) filter (not is_tracked) as untracked,
        count(*) filter (
            maturity(hours_between(last_delivered_at, report_now())) <> 'comparable'
            and last_delivered_at <= report_now() + threshold_time('ahead_hours')
        ) as young,
        count(*) as campaigns,
    from campaign_counts
    where campaign_id is not null and accepted > 0
),

latest as (
    select
        hours_between(
            max(quarter_hour)
                filter (quarter_hour <= report_now() + threshold_time('ahead_hours')),
            report_now()
        ) as silent_hours,
        max(quarter_hour) as last_at,
        sum(events) filter (kind <> 'other') as known_events,
        count(*) filter (kind = 'delivered') > 0 as has_deliveries,
    from event_volume
),

set_aside as (
    select
        reason,
        count(*) as lines,
    from quarantine
    group by reason
),

warning as (
    select
        1 as number,
        severity,
        'match rate' as topic,
        if(found = 0, 'None', 'Only ' || percent(share)) || ' of '
        || counted(of_all, 'open or click carries', 'opens and clicks carry')
        || ' the message id of a delivered or '
        || 'bounced message; the others count only where campaign and recipient fit.'
            as sentence,
    from quality
    where check_name = 'matched by message id' and needs_attention
    union all
    select
        2 as number,
        severity,
        'orphans' as topic,
        counted(
            found, 'open, click or other reaction', 'opens, clicks and other reactions'
        ) || ' reached no message: ' || if(
            found = 1,
            'it is left out of every rate; its delivery was probably never received.',
            'they are left out of every rate; '
            || 'their deliveries were probably never received.'
        ) as sentence,
    from quality
    where check_name = 'orphans' and found > 0
    union all
    select
        3 as number,
        severity,
        'unattributed bounces' as topic,
        percent(share) || ' of '
        || counted(of_all, 'bounce names', 'bounces name') || ' no campaign and '
        || if(of_all = 1, 'has', 'have')
        || ' no delivery that does: ' || if(
            exists (from delivered where campaign_id is not null),
            'campaigns may have bounced more than their rates say '
            || '(see bounce_rate_upper).',
            'they count in all mail only.'
        ) as sentence,
    from quality
    where check_name = 'bounces without a campaign' and found > 0
    union all
    select
        4 as number,
        quality.severity,
        'no async bounce' as topic,
        'Sender domain ' || coalesce(shown_word(sender.sender_domain), '(none given)')
        || ' has ' || counted(sender.delivered_events, 'delivery', 'deliveries')
        || ' and never an async bounce: the MX of its '
        || 'bounce domain is probably missing.' as sentence,
    from quality
    cross join (
        select *
        from silent_sender
        order by delivered_events desc, sender_domain
        limit 5
    ) as sender
    where quality.check_name = 'delivered by senders that never had an async bounce'
    union all
    select
        4 as number,
        quality.severity,
        'no async bounce' as topic,
        'Sender domains without any async bounce either: '
        || format('{:,}', more.domains) || ' more.'
            as sentence,
    from quality
    cross join (select count(*) - 5 as domains from silent_sender) as more
    where quality.check_name = 'delivered by senders that never had an async bounce'
        and more.domains > 0
    union all
    select
        5 as number,
        'warning' as severity,
        'gap' as topic,
        counted(gaps, 'gap', 'gaps')
        || ' in the event stream; the longest, of '
        || format('{:,.1f}', round(longest_hours, 1)) || ' hours, began at '
        || strftime(report_time(longest_from), '%Y-%m-%d %H:%M') || ' '
        || report_timezone() || ', where events usually come every '
        || round(usual_hours, 2) || ' hours: if the receiver was down, what it missed '
        || 'is gone.' as sentence,
    from gap
    where gaps > 0
    union all
    select
        6 as number,
        quality.severity,
        'unknown words' as topic,
        'The word ' || unknown.word || ' in ' || unknown.field
        || ' is not known here (' || counted(unknown.events, 'event', 'events')
        || ', first on ' || unknown.first_seen_date || '): it is kept' || if(
            unknown.field = 'bounce_category',
            ', and bounces with it are classed by their DSN.',
            ', and changes nothing that is computed.'
        ) as sentence,
    from quality
    cross join (
        select * from unknown_words order by events desc, field, word limit 5
    ) as unknown
    where quality.check_name = 'unknown words'
    union all
    select
        6 as number,
        quality.severity,
        'unknown words' as topic,
        'unknown_words lists ' || format('{:,}', more.words) || ' more that '
        || if(more.words = 1, 'is', 'are') || ' not known.' as sentence,
    from quality
    cross join (select count(*) - 5 as words from unknown_words) as more
    where quality.check_name = 'unknown words' and more.words > 0
    union all
    select
        7 as number,
        severity,
        'late events' as topic,
        counted(found, 'event', 'events') || ' (' || percent(share)
        || ') arrived over ' || cast(threshold('late_hours') as integer)
        || ' hours after ' || if(found = 1, 'it', 'they')
        || ' occurred: rates of the last days still move.' as sentence,
    from quality
    where check_name = 'late events' and found > 0
    union all
    select
        8 as number,
        'warning' as severity,
        'tracking absent' as topic,
        format('{:,}', untracked) || ' of '
        || counted(campaigns, 'campaign', 'campaigns') || if(
            untracked = 1,
            ' has no open, click or subscription change at all: its',
            ' have no open, click or subscription change at all: their'
        ) || ' open and click rates are not tracked (NULL), not 0%.' as sentence,
    from tracking
    where untracked > 0
    union all
    select
        9 as number,
        'note' as severity,
        'young campaigns' as topic,
        format('{:,}', young) || ' of ' || counted(campaigns, 'campaign', 'campaigns')
        || if(young = 1, ' was', ' were') || ' last delivered less than '
        || cast(threshold('comparable_hours') as integer)
        || ' hours ago: compare ' || if(young = 1, 'it', 'them')
        || ' at equal age only.' as sentence,
    from tracking
    where young > 0
    union all
    select
        10 as number,
        severity,
        'bounce types' as topic,
        percent(share) || ' of '
        || counted(of_all, 'bounced message is', 'bounced messages are')
        || ' hard for us and soft for the provider, or the other way round.'
            as sentence,
    from quality
    where check_name = 'bounces that the provider classes otherwise'
        and needs_attention
    union all
    select
        11 as number,
        quality.severity,
        'quarantine' as topic,
        counted(set_aside.lines, 'line was', 'lines were') || ' set aside ('
        || set_aside.reason || '): loader quarantine shows '
        || if(set_aside.lines = 1, 'it.', 'them.') as sentence,
    from quality
    cross join set_aside
    where quality.check_name = 'lines in quarantine'
    union all
    select
        12 as number,
        'note' as severity,
        'freshness' as topic,
        'The newest event is ' || if(
            silent_hours < 72,
            cast(cast(floor(silent_hours) as bigint) as varchar) || ' hours old.',
            format('{:,}', cast(floor(silent_hours / 24) as bigint)) || ' days old.'
        ) as sentence,
    from latest
    where silent_hours >= threshold('silent_hours')
    union all
    select
        13 as number,
        severity,
        'duplicates' as topic,
        counted(
            found,
            'event came more than once and was',
            'events came more than once and were'
        ) || ' counted once.' as sentence,
    from quality
    where check_name = 'duplicates' and found > 0
    union all
    select
        14 as number,
        'note' as severity,
        'complaints' as topic,
        'No complaint event has ever come: complaint rates are not available, not 0%.'
            as sentence,
    where event_count() > 0 and not has_complaints()
    union all
    select
        15 as number,
        quality.severity,
        'future events' as topic,
        counted(quality.found, 'event lies', 'events lie')
        || ' in the future by this machine''s clock, up to '
        || strftime(report_time(latest.last_at), '%Y-%m-%d %H:%M') || ' '
        || report_timezone()
        || ': one of the clocks is wrong, and so are the ages of what they touch.'
            as sentence,
    from quality
    cross join latest
    where quality.check_name = 'events ahead of the clock' and quality.found > 0
    union all
    select
        16 as number,
        'warning' as severity,
        'no delivery' as topic,
        'No delivered event has ever come, of '
        || counted(known_events, 'event', 'events') || ': see that the webhook sends '
        || 'them. Without them nothing counts as accepted, and opens and clicks reach '
        || 'no message.' as sentence,
    from latest
    where known_events > 0 and not has_deliveries
)

select
    number,
    severity,
    topic,
    sentence,
from warning
order by severity desc, number, sentence;
