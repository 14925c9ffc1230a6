"""Signed Inboxroad webhooks in, an honest DuckDB warehouse and campaign reports out."""
