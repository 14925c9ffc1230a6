-- grain: one row per check of the data: how many of how many, as a share, whether it
-- needs a word (needs_attention), and what it means
-- amiss_share = the share that is not as it should be: of the match rate what is not
-- matched, else share; the thresholds are in metric_threshold, and every page, warning
-- and command asks here
-- orphans: of opens, clicks, subscription changes and complaints; unknown words: of the
-- words of bounces (three each), and of all other events but deliveries, opens and
-- clicks (one each); bounces without a campaign are as they should be where no mail
-- that was delivered has one
create or replace view quality_total as
with volume as (
    select
        cast(coalesce(sum(events), 0) as bigint) as events,
        cast(coalesce(sum(delivered_events), 0) as bigint) as delivered_events,
        cast(coalesce(sum(bounce_events), 0) as bigint) as bounce_events,
        (select cast(coalesce(sum(duplicates), 0) as bigint) from ingest_ledger)
            as duplicates,
        cast(coalesce(sum(opens_clicks), 0) as bigint) as opens_clicks,
        (select count(*) from reaction_event) as reactions,
        cast(coalesce(sum(matched_by_message_id), 0) as bigint)
            as matched_by_message_id,
        cast(coalesce(sum(matched_by_campaign), 0) as bigint) as matched_by_campaign,
        cast(coalesce(sum(orphans), 0) as bigint) as orphans,
        cast(coalesce(sum(unattributed_bounces), 0) as bigint) as unattributed_bounces,
        cast(coalesce(sum(unknown_words), 0) as bigint) as unknown_words,
        cast(coalesce(sum(late_events), 0) as bigint) as late_events,
        cast(coalesce(sum(ahead_events), 0) as bigint) as ahead_events,
        sum(delivered_events) > 0
            and not exists (from delivered where campaign_id is not null)
            as is_nameless,
    from data_quality
),

silent as (
    select cast(coalesce(sum(delivered_events), 0) as bigint) as delivered_events
    from silent_sender
),

disagreement as (
    select
        cast(coalesce(sum(disagreed), 0) as bigint) as disagreed,
        cast(coalesce(sum(bounced), 0) as bigint) as bounced,
    from bounce_report
),

-- low: the share below which a check needs a word; high: that from which it does, any:
-- with the first that is found
checked as (
    select unnest([
        {
            'n': 1, 'name': 'matched by message id',
            'k': matched_by_message_id, 'of': opens_clicks,
            'low': 'match_rate_low', 'high': null,
            'meaning':
                'opens and clicks whose message is known; low: ids do not match',
        },
        {
            'n': 2, 'name': 'matched by campaign and recipient',
            'k': matched_by_campaign, 'of': opens_clicks, 'low': null, 'high': null,
            'meaning': 'matched the second way, because the id was unknown',
        },
        {
            'n': 3, 'name': 'orphans', 'k': orphans, 'of': reactions,
            'low': null, 'high': 'orphan_share_high',
            'meaning': 'events of no known message: kept, left out of every rate',
        },
        {
            'n': 4, 'name': 'bounces without a campaign',
            'k': unattributed_bounces, 'of': bounce_events,
            'low': null, 'high': if(is_nameless, null, 'unattributed_share_high'),
            'meaning': 'shown as unattributed, never spread over campaigns',
        },
        {
            'n': 5, 'name': 'delivered by senders that never had an async bounce',
            'k': silent.delivered_events, 'of': volume.delivered_events,
            'low': null, 'high': 'any',
            'meaning': 'the bounce domain''s MX may be missing',
        },
        {
            'n': 6, 'name': 'bounces that the provider classes otherwise',
            'k': disagreed, 'of': bounced,
            'low': null, 'high': 'disagreement_share_high',
            'meaning': 'its hard or soft against our class',
        },
        {
            'n': 7, 'name': 'late events', 'k': late_events, 'of': events,
            'low': null, 'high': 'late_share_high',
            'meaning': 'came more than ' || cast(threshold('late_hours') as integer)
                || ' h after they happened: rates of old days moved',
        },
        {
            'n': 8, 'name': 'duplicates', 'k': duplicates, 'of': events + duplicates,
            'low': null, 'high': null,
            'meaning': 'the same event sent twice: stored once',
        },
        {
            'n': 9, 'name': 'unknown words', 'k': unknown_words,
            'of': events - volume.delivered_events - opens_clicks + 2 * bounce_events,
            'low': null, 'high': 'any',
            'meaning':
                'categories or kinds never seen before: kept, classed by their code',
        },
        {
            'n': 10, 'name': 'lines in quarantine',
            'k': (select count(*) from quarantine),
            'of': events + (select count(*) from quarantine),
            'low': null, 'high': 'any',
            'meaning': 'signed, but not readable as an event: kept whole',
        },
        {
            'n': 11, 'name': 'events ahead of the clock', 'k': ahead_events,
            'of': events, 'low': null, 'high': 'any',
            'meaning': 'more than ' || cast(threshold('ahead_hours') as integer)
                || ' h in the future: one clock is wrong, and ages with it',
        },
    ]) as part
    from volume
    cross join silent
    cross join disagreement
)

select
    part.name as check_name,
    part.n as check_number,
    part.k as found,
    part.of as of_all,
    rate(part.k, part.of) as share,
    wilson_lo(part.k, part.of) as share_lo,
    wilson_hi(part.k, part.of) as share_hi,
    if(part.low is null, share, 1 - share) as amiss_share,
    coalesce(
        case
            when part.high = 'any' then part.k > 0
            when part.low is null then share >= threshold(part.high)
            else share < threshold(part.low)
        end,
        false
    ) as needs_attention,
    part.meaning as meaning,
from checked;
