"""Imported by the process that all others are forked from."""

from faults import table, work  # noqa: F401

work.warm()
