"""Tables that Python fills and kernels read field by field: one structured dtype for both."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from .pointers import records


class Table:
    """A record type: `dtype` for NumPy; `at(address, index)` in kernels, whose fields are read and set in place.

    Parameters
    ----------
    fields
        Names of int64 fields.
    reals
        Names of float64 fields, behind them.
    more
        Further fields as NumPy writes them: (name, type) or (name, type, shape).
    """

    def __init__(self, fields: Iterable[str] = (), reals: Iterable[str] = (), more: Iterable[Any] = ()) -> None:
        self.dtype = np.dtype(
            [(name, np.int64) for name in fields] + [(name, np.float64) for name in reals] + list(more), align=True
        )
        self.at: Callable[..., Any] = records(self.dtype)

    def zeros(self, n: int) -> Any:
        """A table of n records of nothing."""
        return np.zeros(n, self.dtype)

    def record(self, **values: Any) -> Any:
        """A table of one record."""
        table = np.zeros(1, self.dtype)
        row = table[0]
        for name, value in values.items():
            row[name] = value
        return table
