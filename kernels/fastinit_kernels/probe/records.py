"""What a launch of the probe reads and writes: tables that Python fills and kernels read by name.

Places are counted in numbers of the compute type from the start of `memory`; everything else outside it has an address.
"""

from typing import Any

import numpy as np

from ..fill.draw import PARAMETERS
from ..machine.records import Table

RMS_NORM, LAYER_NORM = 1, 2
NORMALIZATIONS = {None: 0, "rms": RMS_NORM, "layer": LAYER_NORM}

LAYER = Table(
    # Units below and of the layer; of images channels.
    ("n_in", "n_out")
    # Places: the signal that enters and that leaves; what meets W, the signal or its normalised rows; 1 / std of the
    # rows; phi'(z). -1 where there is none.
    + ("signal", "output", "operand", "inverses", "slopes")
    # Rows of the table of sources.
    + ("weight", "bias")
    # Address of phi's kernel.
    + ("activation",)
    + ("skip", "normalize")
    # The layer's first counter of the histogram, unit, and records: of activations and weights, of delta, and of dW.
    + ("histogram", "unit", "record", "delta_record", "gradient_record"),
    # phi's parameter; what of phi(z) is not saturated; the numbers of `Bins`; the factor of the branch beside a skip.
    ("parameter", "least", "most", "low", "high", "pivot", "first_bin", "bins_a_unit", "branch"),
)

SOURCE = Table(
    ("function", "rounding", "key0", "key1", "key2", "key3", "address"), more=[("parameters", np.float64, PARAMETERS)]
)
PARAMETERS_AT: int = SOURCE.dtype.fields["parameters"][1]  # type: ignore[index]

LAUNCH = Table(
    # Of this slab of rows, and whether it is the first or the last.
    ("rows", "first_row", "first_pass", "last_pass")
    # Of all.
    + ("padded_rows", "panels", "bins", "copies", "counters")
    # Of images; without them all rows are as one image's.
    + ("positions", "interleaved", "side", "window", "taps")
    # Places that layers take turns in: W in panels, b, a row of zeros; dL/dz and dL/da of even and of odd layers.
    + ("weights", "biases", "zero_row", "delta0", "delta1", "stream0", "stream1")
    # Where W's part of the figures of chunks begins.
    + ("weight_partial",)
    # Addresses: the tables; the numbers; kernels that come in kinds.
    + ("layers", "sources", "memory", "partial", "patches", "count_singly")
    # Addresses of the figures forward,
    + ("histogram", "records", "weight_records", "zeros", "hashes", "weight_hashes")
    # and backward: sums of dW that stay from slab to slab, hashes of its columns, and the source of dL/da.
    + ("cotangent", "sums", "delta_records", "gradient_records", "updated_hashes"),
    # Of input pairs of correlation c: c and sqrt(1 - c^2).
    ("like", "fresh"),
)

# Merged statistics of one matrix, and of a layer's a and z.
VALUE_RECORD = Table(reals=("count", "mean", "m2", "minimum", "maximum", "nonfinite", "zeros"))
# Sums over a layer's elements beside those, and how a chunk's is merged: None: it is added as it is; else it is one of
# squares in a unit of the column's own, and this is its factor.
SUMS = {
    "saturated": None,
    "slopes": None,
    "pairs": 1.0,
    "pair_squares": 0.5,
}
LAYER_RECORD = Table(
    more=[("a", VALUE_RECORD.dtype), ("z", VALUE_RECORD.dtype), *((name, np.float64) for name in SUMS)]
)
SUMS_AT: int = LAYER_RECORD.dtype.fields[next(iter(SUMS))][1]  # type: ignore[index]


def empty(table: Table, n: int) -> Any:
    """Records of nothing."""
    records = table.zeros(n)
    for values in (records["a"], records["z"]) if table is LAYER_RECORD else (records,):
        values["minimum"], values["maximum"] = np.inf, -np.inf
    return records
