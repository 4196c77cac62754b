"""Arguments that the theory and the probe have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ..activations.lookup import is_function
from ..words import check_choice, entries, in_layer, shown

# Layers whose counts and places are far from the ends of 64 bits.
MOST_LAYERS = 1 << 24

NORMALIZATIONS = ("layer", "rms")


def check_normalize(how: Any) -> str | None:
    """Return the kind of normalisation."""
    return None if how is None else check_choice("normalize", how, NORMALIZATIONS)


class Entries(NamedTuple):
    """What an argument says of the layers of a network: one value for all, or a list with one for each."""

    argument: str
    values: list[Any]
    several: bool

    @classmethod
    def of(cls, argument: str, value: Any) -> Entries:
        """Return what a caller says; a tuple of a function and its derivative is one value."""
        listed = None if is_function(value) else entries(value, MOST_LAYERS)
        if listed is not None and not 0 < len(listed) <= MOST_LAYERS:
            raise ValueError(f"argument '{argument}' must be one value, or hold one for each layer, got {shown(value)}")
        return cls(argument, [value] if listed is None else listed, listed is not None)

    def checked(self, rule: Callable[[Any], Any]) -> Entries:
        """Return the values as a rule returns them; a refusal names the layer."""
        known: dict[int, Any] = {}  # by identity: layers mostly say the same
        for layer, value in enumerate(self.values):
            if id(value) not in known:
                with in_layer(layer if self.several else None):
                    known[id(value)] = rule(value)
        return self._replace(values=[known[id(value)] for value in self.values])

    def spread(self, depth: int) -> list[Any]:
        """Return a value for each of so many layers."""
        if not self.several:
            return self.values * depth
        if len(self.values) != depth:
            raise ValueError(
                f"argument '{self.argument}' must be one value, or hold one for each of {depth} layers, "
                f"got {len(self.values)}"
            )
        return self.values


def collapsed(values: list[Any]) -> Any:
    """Return what all layers have in common; a tuple with one entry a layer where they differ."""
    return values[0] if values.count(values[0]) == len(values) else tuple(values)
