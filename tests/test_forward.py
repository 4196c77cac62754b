"""The forward pass against its twin, and what its figures must not depend on."""

import itertools
import json

import numpy as np
import probe_twin as twin
import pytest
from assembly import MACHINE, PATTERNS
from fastinit_kernels.machine.jit import place_of
from fastinit_kernels.probe.run import Inputs, Layer, Source
from fastinit_kernels.probe.workspace import Stack, Workspace
from layers import SHAPES, arrays, check_counts, one_layer, one_pass, probe, rounding, same, same_on_any_threads

import fastinit as fi


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("activation", sorted(twin.ACTIVATIONS))
@pytest.mark.parametrize(("batch", "widths"), SHAPES)
def test_every_figure_is_the_twins(activation, batch, widths, dtype):
    weights, biases, inputs = arrays(widths, batch, dtype)
    got = probe(activation, weights, biases, inputs, dtype)
    tolerance = rounding(widths, dtype)
    for index, (_, z, a) in enumerate(twin.forward(activation, weights, biases, inputs)):
        expected = twin.figures(activation, weights[index], z, a)
        size = max(np.abs(z).max(), np.abs(a).max())
        for name, value in expected.items():
            unit = {"q": size**2, "chi": abs(value), "weight_std": value, "nonfinite": 0.0}.get(name, size)
            if name == "correlation":  # a ratio of sums of squares
                unit = size**2 / max((z**2).mean(), 1e-300)
            np.testing.assert_allclose(
                got[name][index], value, rtol=0, atol=4 * tolerance[index] * unit, err_msg=f"{name} of layer {index}"
            )
        check_counts(activation, got, index, a, tolerance[index] * size)


def test_histogram_edges_belong_to_the_bin_on_their_right_and_the_last_one_to_the_last_bin():
    inputs = np.array(
        [[-1.0, -0.5, 0.0, 0.5, 1.0, np.nextafter(np.float32(1), np.float32(2)), -1.0000001, 0.25]], np.float32
    )
    layers = [Layer(8, 8, Source(array=np.eye(8, dtype=np.float32)), range=(-1.0, 1.0))]
    got = one_pass("linear", layers, Inputs(Source(array=inputs), 1), bins=4)
    assert got["histogram"].tolist() == [[1, 1, 2, 2]]
    assert (got["underflow"][0], got["overflow"][0]) == (1, 1)


def test_networks_of_one_shape_share_their_layout_and_buffers_start_on_cache_lines():
    weights, _, inputs = arrays((70, 33, 50), 97, np.float32)
    layers = [Layer(*w.shape, Source(array=w), normalize="rms") for w in weights]
    entering = Inputs(Source(array=inputs), 97)
    one, other = (Workspace(Stack(layers, entering, 30, np.float32, 97, True)) for _ in range(2))
    assert one.arrangement is other.arrangement
    assert one.arrangement is not Stack(layers, entering, 31, np.float32, 97, True).arrangement
    for name in ("signal", "output", "operand", "inverses", "slopes"):
        assert ((place_of(one.memory) + 4 * one.arrangement.table[name]) % 64 == 0).all(), name


@pytest.mark.parametrize("options", [{}, {"cotangent": True}])
def test_same_bits_for_any_number_of_threads(options):
    weights, biases, inputs = arrays((300, 257, 128, 40), 500, np.float32)
    if options:
        cotangent = np.random.default_rng(9).standard_normal((500, 40)).astype(np.float32)
        options = {"cotangent": Source(array=cotangent)}
    same_on_any_threads(lambda: probe("tanh", weights, biases, inputs, np.float32, **options))


@pytest.mark.parametrize("batch", [96, 97, 300, 501])
def test_rows_in_blocks_give_the_same_figures(batch):
    weights, biases, inputs = arrays((70, 129, 64), batch, np.float32)
    whole = probe("relu", weights, biases, inputs, np.float32)
    parts = probe("relu", weights, biases, inputs, np.float32, slab_rows=100)
    for name, values in whole.items():
        # Records of blocks are merged in float64.
        np.testing.assert_allclose(parts[name], values, rtol=1e-13, atol=1e-13, err_msg=name)


LAWS = [
    ("normal", {"std": 0.1}),
    ("uniform", {"low": -0.2, "high": 0.3}),
    ("truncated_normal", {"std": 0.2}),
]


def drawn(law, params, name, dtype, rounding=None):
    """The source of a tensor as the package's own tables give it."""
    from fastinit.weights.streams import philox_key

    recipe = fi.get_scheme(law, **params).law(fi.Fans(1, 1)).recipe(rounding or dtype)
    return Source(recipe.formula, philox_key(5, name), recipe.parameters, rounding=rounding)


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
@pytest.mark.parametrize(("law", "params"), LAWS)
@pytest.mark.parametrize(("batch", "widths"), [(3, (1, 1)), (40, (130, 100, 33)), (10, (70, 1100))])
def test_drawn_tensors_are_those_of_init(law, params, batch, widths, dtype):
    rounding = dtype if dtype in ("bfloat16", "float16") else None
    compute = np.dtype(np.float64 if dtype == "float64" else np.float32)
    inputs = fi.normal((batch, widths[0]), seed=5, name="input", dtype=compute.name)
    cotangent = fi.normal((batch, widths[-1]), seed=5, name="cotangent", dtype=compute.name)
    by_array, by_law = [], []
    for index, pair in enumerate(itertools.pairwise(widths)):
        w = fi.init(law, pair, seed=5, name=f"layer.{index}.weight", dtype=dtype, **params).astype(compute)
        b = fi.normal((pair[1],), std=0.5, seed=5, name=f"layer.{index}.bias", dtype=compute.name)
        by_array.append(Layer(*pair, Source(array=w), Source(array=b)))
        source = drawn(law, params, f"layer.{index}.weight", compute.name, rounding)
        by_law.append(Layer(*pair, source, drawn("normal", {"std": 0.5}, f"layer.{index}.bias", compute.name)))
    unit = {"std": 1.0}
    options = {"bins": 5, "dtype": compute}
    given = Inputs(Source(array=inputs), batch)
    entering = Inputs(drawn("normal", unit, "input", compute.name), batch)
    same(
        one_pass("tanh", by_array, given, cotangent=Source(array=cotangent), **options),
        one_pass("tanh", by_law, entering, cotangent=drawn("normal", unit, "cotangent", compute.name), **options),
    )


def test_zero_weights_are_one_unit_of_no_spread():
    got = one_layer(np.zeros((50, 40)), np.random.default_rng(0).standard_normal((130, 50)))
    assert (got["std"], got["mean"], got["weight_std"], got["distinct"]) == (0.0, 0.0, 0.0, 1)
    assert (got["zero"], got["dead"], got["nonfinite"]) == (1.0, 1.0, 0)


def test_constant_weights_are_symmetric_and_have_no_spread():
    got = one_layer(np.full((300, 70), 0.1), np.ones((200, 300)))
    assert (got["std"], got["weight_std"], got["distinct"]) == (0.0, 0.0, 1)


def test_equal_units_are_counted_once():
    rng = np.random.default_rng(3)
    w = rng.standard_normal((20, 1000))
    w[:, 500:] = w[:, :500]
    assert one_layer(w, rng.standard_normal((333, 20)))["distinct"] == 500


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_what_is_not_finite_is_counted_and_left_out(bad):
    rng = np.random.default_rng(1)
    w, x = rng.standard_normal((30, 50)).astype(np.float32), rng.standard_normal((99, 30)).astype(np.float32)
    w[3, 7] = bad
    with np.errstate(all="ignore"):
        z = x.astype(np.float64) @ w
    got, expected = one_layer(w, x), twin.figures("linear", w, z, z)
    assert got["nonfinite"] == 99 == expected["nonfinite"]
    assert got["histogram"].sum() + got["underflow"] + got["overflow"] == 99 * 49
    for name in ("mean", "std", "min", "max", "q", "preactivation_std", "correlation", "chi", "weight_std"):
        np.testing.assert_allclose(got[name], expected[name], rtol=2e-5, atol=1e-6, err_msg=name)


def test_a_network_that_overflows_reports_it_layer_by_layer():
    weights, biases, inputs = arrays((64,) * 9, 50, np.float32, scale=1e6)
    got = probe("linear", weights, biases, inputs, np.float32)
    layers = twin.forward("linear", weights, biases, inputs)
    # Squares leave float32 after four layers already; the figures last as long as the values do.
    for index in range(6):
        _, _, a = layers[index]
        assert got["nonfinite"][index] == 0
        np.testing.assert_allclose(got["std"][index], a.std(), rtol=1e-4)
    assert got["nonfinite"][-1] == 50 * 64
    assert np.isnan(got["mean"][-1])
    assert np.isnan(got["std"][-1])


def test_a_signal_far_below_the_square_root_of_the_smallest_number_has_its_spread():
    weights, biases, inputs = arrays((64,) * 6, 50, np.float32, scale=1e-6)
    biases = [None] * 5
    got = probe("tanh", weights, biases, inputs, np.float32)
    for index, (_, _, a) in enumerate(twin.forward("tanh", weights, biases, inputs)):
        np.testing.assert_allclose(got["std"][index], a.std(), rtol=1e-4)
    assert 0 < got["std"][-1] < 1e-27


def test_a_small_spread_beside_a_large_mean():
    x = (1000.0 + 0.01 * np.random.default_rng(0).standard_normal((960, 40))).astype(np.float32)
    got = one_layer(np.eye(40), x)
    np.testing.assert_allclose(got["std"], x.astype(np.float64).std(), rtol=1e-6)
    np.testing.assert_allclose(got["mean"], x.astype(np.float64).mean(), rtol=1e-12)


PROGRAM = """
import sys, os; sys.path.insert(0, os.environ["TESTS"])
import numpy as np, layers as t
from fastinit_kernels.machine.jit import place_of
from fastinit_kernels.probe.run import Source
w, b, x = t.arrays((70, 129, 40), 131, np.float32)
c = np.random.default_rng(9).standard_normal((131, 40)).astype(np.float32)
got = [t.probe("tanh", w, b, x, np.float32, cotangent=Source(array=c))]

w, b, x = t.images(3, 5, (40, 40, 70, 70), 6, np.float32)
for how in ("layer", "rms"):
    got.append(t.probe("gelu", w, b, x, np.float32, cotangent=Source.constant(1.0), normalize=how, correlation=0.5,
                       skips=[True, False, True], branch_scale=0.3, slab_rows=1))
for figures in got:
    print({name: [float(v).hex() for v in values.ravel()] for name, values in sorted(figures.items())})
"""


@pytest.mark.ci
@pytest.mark.parametrize("cpu", ["haswell", "x86-64-v2"])
def test_same_bits_whatever_the_vector_width(python, cpu):
    import platform

    if platform.machine() != "x86_64":
        pytest.skip("the names are those of x86-64")
    assert python(PROGRAM, NUMBA_CPU_NAME=cpu, NUMBA_CPU_FEATURES="") == python(PROGRAM)


# What is made of other instructions than `PATTERNS` knows, all of them on whole registers: comparisons and choices,
# copies, and the arithmetic of float64 without multiply-adds.
OTHERS = {
    "x86_64": {
        "chosen": r"v(?:max|min|cmp\w*|blendv?m?|and)ps\s.*%[yz]mm",
        "copied": r"vmov(?:ups|dqu\d*)\s.*%[yz]mm",
        "merged": r"v(?:mul|add|sub|div|fn?m(?:add|sub)\d*)pd\s.*%[yz]mm",
    },
    "aarch64": {
        "chosen": r"\b(?:fcmg[te]|fcml[te]|bsl|bif|bit|and|fmaxnm|fminnm)\s+v\d+\.(?:4s|16b)",
        "copied": r"\b(?:ldp|ldr|stp|str)\s+q\d+",
        "merged": r"\bf(?:mul|add|sub|div|ml[as])\s+v\d+\.2d",
    },
}

# The instructions of each kernel of the programs, and at least how many there are.
PRODUCT = {"float32": 48}  # a tile alone has at least 2 x 6 of them, four times over
STATISTICS = {"float32": 3, "chosen": 3}  # in each pass over a column
COPY, MERGE, SCALAR = {"copied": 4}, {"merged": 8}, {}
TASKS = {
    "input": COPY,
    "normalize": MERGE,
    "weights": STATISTICS | COPY,
    "biases": COPY,
    "layer": STATISTICS | PRODUCT,
    "merge-layer": MERGE,
    "merge-weights": MERGE,
    "cotangent": COPY,
    "scale": STATISTICS,
    "turn": SCALAR,  # each number goes to a row of its own
    "back": STATISTICS | PRODUCT,
    "unnormalize": MERGE,
    "merge-delta": MERGE,
    "weight-gradient": STATISTICS | PRODUCT,
    # What these call by address.
    "patches": COPY,
    "count-singly": {"chosen": 3},
    "line-array": COPY,
    "line-constant": COPY,
    "line-normal": {"words": 20, "float32": 20},
}

GUARD = """
import gc, json, re, sys
import numpy as np
from fastinit_kernels.machine.jit import Kernel, compiled
from fastinit_kernels.numeric.activations import NAMES
from fastinit_kernels.probe.activate import activation_kernel
from fastinit_kernels.probe.run import Inputs, Layer, Source, run

# Whatever there is: images, a normalisation, a skip, biases, more bins than a word has bits, and the way back.
w = Source("normal", (1, 2, 3, 4), np.array([1.0] + [0.0] * 23))
x = Source(array=np.ones((2, 4, 4, 8), np.float32))
layers = [Layer(8, 8, w, Source.constant(0.0), "gelu", branch_scale=1.0, normalize="layer")] * 2
run(layers, Inputs(x, 2, side=4, window=3), bins=40, cotangents={2: x})
kernels = {k.name: k.dispatcher for k in gc.get_objects() if isinstance(k, Kernel) and k.is_loaded()}
for name in NAMES:
    kernels[name] = activation_kernel(name, "float32").dispatcher

@compiled
def chained(z, a):
    # A ReLU that waits for its neighbour: nothing can be packed.
    for i in range(1, len(z)):
        a[i] = max(z[i] + a[i - 1], np.float32(0))

chained(np.ones(64, np.float32), np.ones(64, np.float32))
kernels["chained"] = chained
found = {}
for kernel, dispatcher in kernels.items():
    assembly = "\\n".join(dispatcher.inspect_asm().values())
    found[kernel] = {name: len(re.findall(pattern, assembly)) for name, pattern in json.loads(sys.argv[1]).items()}
print(json.dumps([NAMES, found]))
"""

# Of no task: the loop around all tiles, the scheduler, and what puts the records of a layer together.
AROUND = {"serial", "parallel", "task", "combine-layers", "combine-values"}


def test_the_kernels_are_vector_code(python, tmp_path):
    if MACHINE not in PATTERNS:
        pytest.skip(f"knows the assembly of {', '.join(PATTERNS)}")
    patterns = json.dumps(PATTERNS[MACHINE] | OTHERS[MACHINE])
    # Machine code that comes from the cache brings no listing: nobody else may compile.
    afresh = {"NUMBA_CACHE_DIR": str(tmp_path), "FASTINIT_COMPILE_PROCESSES": "0"}
    activations, found = json.loads(python(GUARD, patterns, **afresh))
    control = found.pop("chained")
    assert control["float32"] == control["chosen"] == control["merged"] == 0
    assert control["single"] > 0
    for name in activations:
        counts = found.pop(name)
        if name == "linear":
            assert counts["copied"] > 0, name
        else:  # some activations only compare and choose
            assert counts["float32"] + counts["chosen"] > 0, name
        assert counts["library"] == 0, name
    tasks = {name.removesuffix("-float32"): counts for name, counts in found.items() if name not in AROUND}
    assert tasks.pop("activation-gelu")["float32"] > 0
    assert tasks.keys() == TASKS.keys()
    for name, counts in tasks.items():
        for kind, least in TASKS[name].items():
            assert counts[kind] >= least, (name, kind, counts)
        assert counts["library"] == 0, name
