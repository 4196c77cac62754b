"""The kernels of the probe, loaded when something is first measured, and held against the tables of the API.

Numba comes with them, so nothing imports this module but a function.
"""

from fastinit_kernels.numeric.activations import NAMES
from fastinit_kernels.probe.bins import edges as edges
from fastinit_kernels.probe.figures import BACKWARD, FORWARD
from fastinit_kernels.probe.lines import ROUNDINGS
from fastinit_kernels.probe.records import NORMALIZATIONS
from fastinit_kernels.probe.run import Inputs as Inputs
from fastinit_kernels.probe.run import Layer as Layer
from fastinit_kernels.probe.run import Source as Source
from fastinit_kernels.probe.run import Stack as Stack
from fastinit_kernels.probe.run import no_gradients as no_gradients
from fastinit_kernels.probe.run import run_stack as run_stack
from fastinit_kernels.probe.run import stack_of as stack_of

from ..activations import ACTIVATIONS
from ..theory import limits
from ..weights.dtypes import is_rounded
from ..words import tied
from .figures import FIGURES
from .given import PROBED

tied(
    "activation",
    {
        "row: fastinit/activations/table.py": ACTIVATIONS,
        "kernel: fastinit_kernels/numeric/activations.py": NAMES,
    },
)
tied(
    "figure",
    {
        "row: fastinit/probing/figures.py": [*FIGURES, "histogram"],
        "formula: fastinit_kernels/probe/figures.py": [*FORWARD, *BACKWARD],
    },
)
tied(
    "normalisation",
    {
        "word: fastinit/theory/limits.py": limits.NORMALIZATIONS,
        "number: fastinit_kernels/probe/records.py": filter(None, NORMALIZATIONS),
    },
)
tied(
    "dtype",
    {
        "row: fastinit/probing/given.py": filter(is_rounded, PROBED),
        "rounding: fastinit_kernels/probe/lines.py": filter(None, ROUNDINGS),
    },
)
