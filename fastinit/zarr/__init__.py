"""Weights in Zarr stores: chunk by chunk, in parallel, of any size, and taken up again where it was stopped."""

from .dtypes import register as _register
from .stores import init_store as init_store

_register()
