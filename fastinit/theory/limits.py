"""Arguments that the theory and the probe have in common."""

from __future__ import annotations

from typing import Any

from ..words import check_choice

# Layers whose counts and places are far from the ends of 64 bits.
MOST_LAYERS = 1 << 24

NORMALIZATIONS = ("layer", "rms")


def check_normalize(how: Any) -> str | None:
    """Return the kind of normalisation."""
    return None if how is None else check_choice("normalize", how, NORMALIZATIONS)
