"""What the parameters of a model are assigned, and the drawing of any region of any of them."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from ..weights.initialize import fill_target
from ..weights.regions import RegionLike, check_region
from ..weights.streams import check_seed
from ..words import fitting, printable, shown
from .pieces import Assignment


class Assignments(dict[str, Assignment]):
    """What each parameter of a model is assigned: a mapping from its name, which fills regions."""

    def check(self, seed: int = 0) -> None:
        """Raise for the first parameter whose law its dtype cannot hold."""
        for name, assignment in self.items():
            try:
                assignment.check(seed)
            except (TypeError, ValueError) as error:
                raise type(error)(f"{error} (parameter {printable(name)}, rule {assignment.pattern})") from None

    def fill(
        self, name: str, *, seed: int, region: RegionLike | None = None, out: NDArray[Any] | None = None
    ) -> NDArray[Any]:
        """Return a parameter, or a region of it, drawn into `out` or a new array.

        Parameters
        ----------
        name
            Of a parameter that is drawn (neither skipped nor tied).
        seed
            0 <= seed < 2^64.
        region, out
            As in `init`.

        Returns
        -------
        ndarray
            `out`, or a new array.

        Raises
        ------
        ValueError, TypeError
            As in `init`.

        Examples
        --------
        >>> import fastinit as fi
        >>> found = fi.Plan([("**", "he_normal")]).resolve({"w": (8, 4)})
        >>> part = found.fill("w", seed=0, region=(slice(2, 4), slice(0, 4)))
        >>> bool((part == fi.init("he_normal", (8, 4), seed=0, name="w")[2:4]).all())
        True
        """
        assignment = self.get(name)
        if assignment is None or not assignment.is_drawn:
            raise ValueError(f"argument 'name' must be that of a parameter that is drawn, got {shown(name)}")
        number = check_seed(seed)
        part = check_region(region, assignment.shape)
        assignment.check(number)
        with fitting("out" if out is not None else "region", printable(name)):
            memory = fill_target(out, tuple(n for _, n in part), assignment.dtype)
            assignment.fill(part, memory, number)
        return memory if out is None else out
