"""Tests, read together, are the specification."""
