-- grain: one row per thing that an analyst must know before believing a rate: severity
-- (warning before note), topic, and one sentence in words; no addresses
create or replace view warnings as
with quality as materialized (
    select * from data_quality
),

volume as (
    select
        coalesce(sum(opens_clicks), 0) as opens_clicks,
        coalesce(sum(matched_by_message_id), 0) as matched_by_message_id,
        coalesce(sum(orphans), 0) as orphans,
        coalesce(sum(bounce_events), 0) as bounce_events,
        coalesce(sum(unattributed_bounces), 0) as unattributed_bounces,
        coalesce(sum(events), 0) as events,
        coalesce(sum(late_events), 0) as late_events,
        coalesce(sum(duplicates), 0) as duplicates,
    from quality
),

sender as (
    select
        sender_domain,
        sum(delivered_events) as delivered_events,
    from quality
    where not async_bounce_seen
    group by sender_domain
    having sum(delivered_events) >= threshold('async_volume')
),

disagreement as (
    select
        coalesce(sum(disagreed), 0) as disagreed,
        coalesce(sum(bounced), 0) as bounced,
    from bounce_report
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
        ) as unripe,
        count(*) as campaigns,
    from campaign_counts
    where campaign_id is not null and accepted > 0
),

latest as (
    select
        hours_between(max(quarter_hour), report_now()) as silent_hours,
        max(quarter_hour) as last_at,
        sum(events) filter (quarter_hour > report_now() + interval 1 hour) as ahead,
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
        'warning' as severity,
        'match rate' as topic,
        'Only ' || percent(rate(matched_by_message_id, opens_clicks)) || ' of '
        || opens_clicks || ' opens and clicks carry the message id of a delivered or '
        || 'bounced message; the others were matched by campaign and recipient.'
            as sentence,
    from volume
    where rate(matched_by_message_id, opens_clicks) < threshold('match_rate_low')
    union all
    select
        2 as number,
        'warning' as severity,
        'orphans' as topic,
        orphans || ' opens, clicks and other reactions reached no message: they are '
        || 'left out of every rate; their deliveries were probably never received.'
            as sentence,
    from volume
    where orphans > 0
    union all
    select
        3 as number,
        if(
            rate(unattributed_bounces, bounce_events)
            >= threshold('unattributed_share_high'), 'warning', 'note'
        ) as severity,
        'unattributed bounces' as topic,
        percent(rate(unattributed_bounces, bounce_events)) || ' of ' || bounce_events
        || ' bounces name no campaign and have no delivery that does: campaigns may '
        || 'have bounced more than their rates say (see bounce_rate_upper).'
            as sentence,
    from volume
    where unattributed_bounces > 0
    union all
    select
        4 as number,
        'warning' as severity,
        'no async bounce' as topic,
        'Sender domain ' || coalesce(shown_word(sender_domain), '(none given)')
        || ' has ' || delivered_events
        || ' deliveries and never an async bounce: the MX of its '
        || 'bounce domain is probably missing.' as sentence,
    from (select * from sender order by delivered_events desc, sender_domain limit 5)
    union all
    select
        4 as number,
        'warning' as severity,
        'no async bounce' as topic,
        'Sender domains without any async bounce either: ' || count(*) - 5 || ' more.'
            as sentence,
    from sender
    having count(*) > 5
    union all
    select
        5 as number,
        'warning' as severity,
        'gap' as topic,
        gaps || if(gaps = 1, ' gap', ' gaps')
        || ' in the event stream; the longest, of '
        || round(longest_hours, 1) || ' hours, began at '
        || strftime(report_time(longest_from), '%Y-%m-%d %H:%M') || ' '
        || report_timezone() || ', where events usually come every '
        || round(usual_hours, 2) || ' hours: what the receiver missed is gone.'
            as sentence,
    from gap
    where gaps > 0
    union all
    select
        6 as number,
        'warning' as severity,
        'unknown words' as topic,
        'The word ' || word || ' in ' || field || ' is not known here (' || events
        || ' events, first on ' || strftime(report_time(first_seen_at), '%Y-%m-%d')
        || '): it is kept' || if(
            field = 'bounce_category',
            ', and bounces with it are classed by their DSN.',
            ', and changes nothing that is computed.'
        ) as sentence,
    from (select * from unknown_words order by events desc, field, word limit 5)
    union all
    select
        6 as number,
        'warning' as severity,
        'unknown words' as topic,
        'unknown_words lists ' || count(*) - 5 || ' more that are not known.'
            as sentence,
    from unknown_words
    having count(*) > 5
    union all
    select
        7 as number,
        'note' as severity,
        'late events' as topic,
        late_events || ' events (' || percent(rate(late_events, events))
        || ') arrived over ' || cast(threshold('late_hours') as integer)
        || ' hours after they occurred: rates of the last days still move.' as sentence,
    from volume
    where late_events > 0
    union all
    select
        8 as number,
        'warning' as severity,
        'tracking absent' as topic,
        untracked || ' of ' || campaigns || ' campaigns have no open, click or '
        || 'subscription change at all: their open and click rates are not tracked '
        || '(NULL), not 0 %.' as sentence,
    from tracking
    where untracked > 0
    union all
    select
        9 as number,
        'note' as severity,
        'unripe campaigns' as topic,
        unripe || ' of ' || campaigns || ' campaigns were last delivered less than '
        || cast(threshold('comparable_hours') as integer)
        || ' hours ago: compare them at equal age only.' as sentence,
    from tracking
    where unripe > 0
    union all
    select
        10 as number,
        'warning' as severity,
        'bounce types' as topic,
        percent(rate(disagreed, bounced)) || ' of ' || bounced
        || ' bounced messages are hard for us and soft for the provider, '
        || 'or the other way round.' as sentence,
    from disagreement
    where rate(disagreed, bounced) >= threshold('disagreement_share_high')
    union all
    select
        11 as number,
        'warning' as severity,
        'quarantine' as topic,
        lines || ' lines were set aside (' || reason
        || '): loader quarantine shows them.' as sentence,
    from set_aside
    union all
    select
        12 as number,
        'note' as severity,
        'freshness' as topic,
        'The newest event is ' || cast(floor(silent_hours) as bigint) || ' hours old.'
            as sentence,
    from latest
    where silent_hours >= 24
    union all
    select
        13 as number,
        'note' as severity,
        'duplicates' as topic,
        duplicates || ' events came more than once and were counted once.' as sentence,
    from volume
    where duplicates > 0
    union all
    select
        14 as number,
        'note' as severity,
        'complaints' as topic,
        'No complaint event has ever come: complaint rates are not available, not 0 %.'
            as sentence,
    from volume
    where events > 0 and not has_complaints()
    union all
    select
        15 as number,
        'warning' as severity,
        'future events' as topic,
        ahead || if(ahead = 1, ' event lies', ' events lie')
        || ' in the future by this machine''s clock, up to '
        || strftime(report_time(last_at), '%Y-%m-%d %H:%M') || ' ' || report_timezone()
        || ': one of the clocks is wrong, and so are the ages of what they touch.'
            as sentence,
    from latest
    where ahead > 0
)

select
    number,
    severity,
    topic,
    sentence,
from warning
order by severity desc, number, sentence;
