"""Arithmetic of whole numbers for everybody; loading it loads nothing else."""

from typing import Any


def ceil_div(a: Any, b: Any) -> Any:
    """The quotient a / b, rounded up."""
    return (a + b - 1) // b
