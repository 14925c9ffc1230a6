"""Signed Inboxroad webhooks in, an honest DuckDB warehouse and campaign reports out."""

import sys

# jsonschema, which Altair and nbformat load, would spend two seconds on a grammar of IRIs, which
# nothing here validates. Without it those formats go unchecked, as on a plain jsonschema.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
