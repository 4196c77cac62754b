"""PyTorch itself, or what to install."""

from __future__ import annotations

from ..words import needs

with needs("PyTorch", extra="torch"):
    import torch as torch
