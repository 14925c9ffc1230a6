"""Benchmarks: each file is a script that prints one table."""
