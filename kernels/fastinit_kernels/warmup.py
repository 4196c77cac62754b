"""Everything compiled ahead."""

from .fill import dense, sparse  # noqa: F401 - for their kernels
from .machine.ahead import cpus, everything, prepare
from .machine.schedule import Program
from .probe import run  # noqa: F401
from .probe.merging import COMBINERS


def warm_up(processes: int | None) -> int:
    """Compile every kernel into the cache, in so many processes (None: a CPU each); return how many were missing."""
    kernels = [*Program().kernels(), *COMBINERS, *everything()]
    missing = [kernel for kernel in kernels if not kernel.is_compiled()]
    prepare(missing, helpers=(processes or cpus()) - 1)
    return len(missing)
