"""The version of this package, alone in its module."""

__version__ = "0.1.0"
