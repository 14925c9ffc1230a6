-- until when events are known, as a naive UTC timestamp: now; where none has come for
-- silent_hours, when the last came, or was loaded if nobody noted when it came
create or replace macro known_until() as (
    select
        if(
            last_at < report_now() - threshold_time('silent_hours'),
            last_at,
            report_now()
        ),
    from (
        select
            max(
                greatest(
                    last_received_at, if(without_received_at > 0, finished_at, null)
                )
            ) as last_at,
        from ingest_ledger
    )
);
