-- until when events are known, as a naive UTC timestamp: now; where none has come for a
-- day, when the last came, or was loaded if nobody noted when it came
create or replace macro known_until() as (
    select if(last_at < report_now() - interval 1 day, last_at, report_now())
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
