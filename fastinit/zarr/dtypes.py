"""The types that Zarr's registry lacks, by the names that Zarr's extensions give them: bfloat16, float8."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from ..weights.dtypes import DTYPES
from ..words import needs

with needs("Zarr", extra="zarr"):
    import zarr.dtype


class _Small(zarr.dtype.Float16):
    """A type of ml_dtypes: NumPy has its bytes in the machine's order, and Zarr's codec turns them into the store's."""

    _native: np.dtype[Any]

    @classmethod
    def from_native_dtype(cls, dtype: Any) -> Self:
        """Return the Zarr type of NumPy's."""
        if dtype != cls._native:
            raise zarr.dtype.DataTypeValidationError(f"must be {cls._native}, got {dtype}")
        return cls()

    def to_native_dtype(self) -> Any:
        """Return NumPy's type."""
        return self._native

    def to_json(self, zarr_format: Any) -> Any:
        """Return the type's name, which version 2 of the format has not."""
        if zarr_format != 3:
            raise ValueError(f"argument 'zarr_format' must be 3 for {self._native}, got {zarr_format}")
        return self._zarr_v3_name

    @property
    def item_size(self) -> int:
        """Bytes of an element."""
        return int(self._native.itemsize)


def register() -> None:
    """Make Zarr read and write every dtype of ours; one that it knows already is left alone."""
    for name, dtype in DTYPES.items():
        try:
            zarr.dtype.data_type_registry.match_dtype(dtype)
        except ValueError:
            words = {"dtype_cls": type(dtype), "_native": dtype, "_zarr_v3_name": name, "_zarr_v2_names": ()}
            zarr.dtype.data_type_registry.register(name, type(name, (_Small,), words))
