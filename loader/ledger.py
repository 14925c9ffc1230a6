"""The ledger of an open warehouse → how far each segment of a spool has been loaded."""

import duckdb


def loaded_offsets(con: duckdb.DuckDBPyConnection, prefix: str) -> dict[str, int]:
    """Return segment → offset in bytes up to which it has been loaded.

    ``prefix`` is what stands before the names of this spool's segments, and of no others.
    """
    query = """
        select substr(segment, length($prefix) + 1), max(to_offset)
        from ingest_ledger
        where starts_with(segment, $prefix)
        group by all
    """
    return dict(con.execute(query, {"prefix": prefix}).fetchall())
