"""`check`: no more false alarms than it says, small faults found, and every finding shown by what is broken so."""

import json
import math

import ml_dtypes
import numpy as np
import pytest
from optional import library

import fastinit as fi
from fastinit import checkpoint

NORMAL = fi.Plan([("w", {"scheme": "normal", "std": 0.02})])


def kinds(result, parameter=None):
    wanted = [f for f in result.findings if parameter is None or f.parameter == parameter]
    return [finding.kind for finding in wanted if not finding.is_note]


def words(result, kind):
    (finding,) = result.of(kind)
    return finding.words


def w(shape=(256, 128), seed=3, std=0.02, **arguments):
    return fi.normal(shape, std=std, seed=seed, name="w", **arguments)


# False alarms and power.

MANY = fi.Plan(
    [
        ("a.*.weight", {"scheme": "he_normal", "layout": "oi"}),
        ("b.*.weight", {"scheme": "xavier_uniform", "layout": "oi"}),
        ("c.*.weight", {"scheme": "truncated_normal", "std": 0.02, "stack": ["expert"]}),
        ("d.*.weight", {"scheme": "sparse", "nonzeros": 3}),
        ("e.*.weight", "positive_unitball"),
        ("f.*.weight", {"scheme": "normal", "std": 0.1, "set": {"[0]": 0}}),
        ("**.bias", {"scheme": "uniform", "low": -0.1, "high": 0.1}),
        ("**.scale", "ones"),
    ]
)
SHAPES = {
    "a.0.weight": (60, 40), "a.1.weight": (400, 30), "b.0.weight": (50, 50), "b.1.weight": (8, 4, 3, 3),
    "c.0.weight": (4, 30, 20), "d.0.weight": (40, 60), "e.0.weight": (50, 40), "f.0.weight": (20, 16), "a.bias": (12,),
    "b.bias": (60,), "c.bias": (1,), "d.bias": (), "e.scale": (17,),
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
def test_false_alarms_are_as_seldom_as_the_level_says(dtype):
    """100 models of 11 drawn tensors each; at 10 % about ten of them may alarm: more than 20, once in 500 times."""
    alarms, p = 0, []
    for seed in range(100):
        found = fi.check(MANY.init(SHAPES, seed=seed, dtype=dtype), MANY, level=0.1)
        alarms += not found.ok
        p += [row.p for row in found.rows if row.p == row.p]
    assert alarms <= 20
    assert len(p) == 1200
    # The tests of a row share its probability, so it is nothing for most rows and 10 % for a few.
    assert 0.02 <= np.mean(np.array(p) <= 0.1) <= 0.13


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float8_e4m3fn", "float8_e5m2", "complex64"])
@pytest.mark.parametrize("shape", [(64, 48), (16,), (8, 8, 16, 24)])
def test_no_scheme_is_refused_its_own_draws(shape, dtype):
    """Each is a test at 10^-5, so that none of some thousands alarms by accident."""
    checked = 0
    for scheme in fi.schemes():
        plan = fi.Plan([("w", scheme)])
        for seed in range(2):
            try:
                tensors = plan.init({"w": shape}, seed=seed, dtype=dtype)
            except (TypeError, ValueError):  # no shape or type of this scheme
                continue
            found = fi.check(tensors, plan, level=1e-5)
            assert found.ok, (scheme, found)
            checked += 1
    assert checked >= 18


def test_complex_numbers_have_parts_and_a_mean():
    plan = fi.Plan([("w", {"scheme": "normal", "mean": 3.0, "std": 0.5})])
    tensors = plan.init({"w": (100, 80)}, seed=0, dtype="complex64")
    (row,) = fi.check(tensors, plan).rows
    assert row.std == pytest.approx(0.5 / math.sqrt(2), rel=0.02)
    assert (row.count, row.expected_std) == (16_000, pytest.approx(0.5 / math.sqrt(2)))
    assert kinds(fi.check({"w": tensors["w"] - 3}, plan)) != []
    assert kinds(fi.check({"w": 3 + (tensors["w"] - 3) * 1.1}, plan)) == ["std"]


def test_a_correct_model_is_ok():
    found = fi.check(MANY.init(SHAPES, seed=1), MANY)
    assert found.ok
    assert found.findings == []
    assert {row.status for row in found.rows} == {"follows"}
    assert [row.parameter for row in found.rows] == [*SHAPES]


def test_one_percent_of_a_million_elements_is_found():
    for ratio, is_found in ((1.0, False), (1.01, True), (0.99, True)):
        found = fi.check({"w": w((1000, 1000), std=0.02 * ratio)}, NORMAL)
        assert kinds(found) == ["std"] * is_found
        (row,) = found.rows
        assert row.z_std == pytest.approx(2000 * (ratio - 1) / math.sqrt(2), abs=3)
        assert (row.p_corrected < 1e-9) == is_found
    shifted = fi.check({"w": w((1000, 1000)) + np.float32(0.0002)}, NORMAL)
    assert kinds(shifted) == ["mean"]
    assert shifted.rows[0].z_mean == pytest.approx(10, abs=3)


def test_figures_are_those_of_numpy_and_the_law():
    x = w().astype(np.float64)
    (row,) = fi.check({"w": w()}, NORMAL, seed=3).rows
    assert (row.count, row.nonfinite, row.zeros, row.min, row.max) == (x.size, 0, 0.0, x.min(), x.max())
    assert row.mean == pytest.approx(x.mean(), rel=1e-12)
    assert row.std == pytest.approx(x.std(), rel=1e-12)
    assert row.kurtosis == pytest.approx((((x - x.mean()) / x.std()) ** 4).mean(), rel=1e-12)
    assert (row.expected_mean, row.expected_std, row.expected_kurtosis) == (0.0, 0.02, 3.0)
    assert (row.expected_min, row.expected_max) == (-math.inf, math.inf)
    assert row.z_mean == pytest.approx(x.mean() / 0.02 * math.sqrt(x.size), rel=1e-9)
    assert (row.rule, row.shape, row.dtype, row.initial, row.status) == ("w", (256, 128), "float32", True, "initial")


# A wrong scale, and what it would be right for.

HE = fi.Plan([("w", {"scheme": "he_normal", "layout": "oi"})])
SCALES = {
    "fan_out": (HE, fi.init("he_normal", (256, 512), seed=0, layout="io"), "fan_out = 256 were used, not fan_in = 512"),
    "xavier": (HE, fi.init("xavier_uniform", (256, 512), seed=0, layout="oi"), "xavier"),
    "torch": (HE, fi.uniform((256, 512), low=-(512**-0.5), high=512**-0.5, seed=0), "PyTorch's default"),
    "gain": (HE, fi.init("lecun_normal", (256, 256), seed=0), "a gain of sqrt(2), of ReLU, were missing"),
    "truncated": (NORMAL, fi.truncated_normal((256, 512), std=0.02, seed=0), "truncated at ±2 std without widening"),
    "untruncated": (
        fi.Plan([("w", {"scheme": "truncated_normal", "std": 0.02})]), w((256, 512)), "untruncated",
    ),
    "variance": (NORMAL, w(std=0.0004), "the variance were taken for the std"),
    "depth": (
        fi.Plan([("w", {"scheme": "normal", "std": "0.02 / sqrt(2 * n_layers)"})], variables={"n_layers": 7}),
        w(), "the division by sqrt(2·n_layers) were missing",
    ),
    "experts": (
        fi.Plan([("w", {"scheme": "lecun_normal", "stack": ["expert"]})]),
        fi.normal((8, 64, 128), std=512**-0.5, seed=0), "the fan were 512, the size of axes (0, 1), not 64",
    ),
    "other": (HE, fi.normal((256, 512), std=0.1, seed=0), "its fan would have to be"),
}  # fmt: skip


@pytest.mark.parametrize("name", SCALES)
def test_a_wrong_scale_is_told_with_what_it_would_be_right_for(name):
    plan, tensor, hint = SCALES[name]
    found = fi.check({"w": tensor}, plan)
    assert "std" in kinds(found)
    assert hint in words(found, "std")
    row = found.rows[0]
    assert f"is {row.std / row.expected_std:.4g} times the {row.expected_std:.4g}" in words(found, "std")


def test_no_hint_is_made_up_of_what_fits_nothing():
    heavy = np.random.default_rng(0).standard_t(4, size=(300, 300)) * 0.02
    assert "as if" not in words(fi.check({"w": heavy}, NORMAL), "std")
    few = fi.check({"w": w(30, std=0.2)}, NORMAL)
    assert "as if" not in words(few, "std")


# Another law.

HALF_WIDTH = 0.02 * math.sqrt(3)
UNIFORM = {"scheme": "uniform", "low": -HALF_WIDTH, "high": HALF_WIDTH}
FAMILIES = {
    "truncated for normal": (NORMAL, fi.truncated_normal((256, 512), std=0.02 / 0.8796257, seed=0), "truncated at ±2"),
    "at three": (NORMAL, fi.truncated_normal((512, 512), std=0.02 / 0.98658, lower=-3, upper=3, seed=0), "±3 std"),
    "few": (NORMAL, fi.truncated_normal(400, std=0.02 / 0.8796257, seed=2), "truncated at ±2"),
    "uniform for normal": (NORMAL, fi.uniform((256, 512), low=-HALF_WIDTH, high=HALF_WIDTH, seed=0), "uniform in"),
    "normal for uniform": (fi.Plan([("w", UNIFORM)]), w(), "an untruncated normal in place of Uniform"),
    "normal for truncated": (
        fi.Plan([("w", {"scheme": "truncated_normal", "std": 0.02 / 0.8796257})]), w(), "an untruncated normal",
    ),
    "heavy tails": (NORMAL, np.random.default_rng(0).standard_t(5, 10**5) * 0.02 * 0.6**0.5, "kurtosis"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAMILIES)
def test_another_family_of_the_same_scale_is_told(name):
    plan, tensor, hint = FAMILIES[name]
    found = fi.check({"w": tensor}, plan)
    assert kinds(found) == ["law"]
    assert hint in words(found, "law")


def test_elements_beyond_the_bounds_are_told():
    x = fi.uniform((64, 64), low=-0.1, high=0.1, seed=0)
    plan = fi.Plan([("w", {"scheme": "uniform", "low": -0.1, "high": 0.1})])
    assert fi.check({"w": x}, plan).ok
    x[3, 4] = 0.1001
    assert kinds(fi.check({"w": x}, plan)) == ["bounds"]
    assert "0.1001, beyond the bounds" in words(fi.check({"w": x}, plan), "bounds")


def test_an_outlier_is_told():
    x = w()
    x[0, 0] = 0.3
    assert kinds(fi.check({"w": x}, NORMAL)) == ["law"]


# What nobody drew.


def test_zeros_and_constants_where_a_draw_was_declared():
    assert words(fi.check({"w": np.zeros((4, 5))}, NORMAL), "zeros").startswith("all 20 elements are 0, where Normal(")
    assert "all 20 elements are 1," in words(fi.check({"w": np.ones((4, 5))}, NORMAL), "constant")
    x = w()
    x[10:74] = 0
    found = fi.check({"w": x}, NORMAL)
    assert kinds(found) == ["zero_rows"]  # the others are as they should be
    assert "64 of 256 rows are 0, the first 10" in words(found, "zero_rows")
    x = w()
    x.flat[::10] = 0
    assert "10 % of the elements are 0" in words(fi.check({"w": x}, NORMAL), "zeros")


def test_garbage():
    bits = np.random.default_rng(0).integers(0, 2**31, (64, 64), dtype=np.uint32)
    x = bits.view(np.float32)
    x[~np.isfinite(x)] = 1
    assert kinds(fi.check({"w": x}, NORMAL)) == ["garbage"]
    x = w()
    x[0, 0], x[0, 1] = math.nan, math.inf
    assert words(fi.check({"w": x}, NORMAL), "nonfinite") == "NaN in 1, inf in 1 of 32768 elements"


def test_minus_infinity_after_a_logarithm():
    plan = fi.Plan([("A_log", {"scheme": "uniform", "low": 0, "high": math.log(16)})])
    u = np.random.default_rng(0).uniform(1, 16, 64)
    u[5] = 0
    with np.errstate(divide="ignore"):
        found = fi.check({"A_log": np.log(u)}, plan)
    assert "-inf in 1 of 64 elements, as the logarithm of a 0" in words(found, "nonfinite")


def test_biases_that_are_not_zero():
    plan = fi.Plan([("b", "zeros")])
    assert fi.check({"b": np.zeros(9, np.float16)}, plan).ok
    found = fi.check({"b": fi.uniform(128, low=-0.1, high=0.1, seed=0)}, plan)
    assert words(found, "value").startswith("128 of 128 elements are not 0: mean ")
    one = np.zeros(9)
    one[4] = 1e-30
    assert kinds(fi.check({"b": one}, plan)) == ["value"]
    assert words(fi.check({"b": np.ones(9)}, plan), "value") == "9 of 9 elements are not 0: all are 1"
    third = fi.Plan([("b", {"scheme": "constant", "value": 1 / 3})])
    for dtype in (np.float64, np.float32, np.float16, ml_dtypes.bfloat16):
        assert fi.check({"b": np.full(9, 1 / 3).astype(dtype)}, third).ok
    assert kinds(fi.check({"b": np.full(9, 0.334)}, third)) == ["value"]


# What is there twice.


def test_equal_rows_and_columns():
    x = w()
    x[5] = x[3]
    assert words(fi.check({"w": x}, NORMAL), "identical_rows").startswith(
        "1 of 256 rows are copies of others, as 3 and 5"
    )
    x = w()
    x[:, [7, 9]] = x[:, [2]]
    assert "2 of 128 columns are copies of others, as 2 and 7" in words(fi.check({"w": x}, NORMAL), "identical_columns")
    x = np.broadcast_to(w()[0], (256, 128))
    assert kinds(fi.check({"w": x}, NORMAL)) == ["identical_rows"]
    assert "all rows are equal" in words(fi.check({"w": x}, NORMAL), "identical_rows")


def test_equal_tensors_and_scaled_ones():
    plan = fi.Plan([("{a,b}", {"scheme": "normal", "std": 0.02}), ("c", {"scheme": "normal", "std": 0.04})])
    x = w()
    found = fi.check({"a": x, "b": x.copy(), "c": 2 * x[:100]}, plan)
    assert kinds(found) == ["identical", "rescaled"]
    assert words(found, "identical") == "equal to a, element by element: drawn from one seed, or copied"
    assert "begins with the random numbers of a, times 1.99" in words(found, "rescaled")
    other = {"a": x, "b": w(seed=4), "c": w(seed=5, std=0.04)}
    assert fi.check(other, plan).ok


EXPERTS = fi.Plan([("e", {"scheme": "he_normal", "stack": ["expert"]})])


def test_experts():
    tensors = EXPERTS.init({"e": (8, 64, 32)}, seed=0)
    assert fi.check(tensors, EXPERTS).ok
    tensors["e"][5] = tensors["e"][2]
    assert "1 of 8 are equal to e [e.2]" in words(fi.check(tensors, EXPERTS), "identical")
    tensors = EXPERTS.init({"e": (8, 64, 32)}, seed=0)
    tensors["e"][5] *= 1.2
    found = fi.check(tensors, EXPERTS)
    assert kinds(found) == ["std"]
    assert "1 of 8 have another std than Normal(mean=0, std=0.1768), the farthest e.5" in words(found, "std")
    tensors = EXPERTS.init({"e": (8, 64, 32)}, seed=0)
    tensors["e"][[1, 6]] = 0
    assert "2 of 8 are all 0, the first e.1" in words(fi.check(tensors, EXPERTS), "zeros")
    assert kinds(fi.check(tensors, EXPERTS)) == ["zeros"]


def test_segments_and_set_elements():
    plan = fi.Plan(
        [
            ("qkv", {"axis": -1, "segments": [
                {"name": "q", "scheme": "normal", "std": 0.1},
                {"name": "kv", "size": 64, "scheme": "normal", "std": 0.3},
            ]}),
            ("emb", {"scheme": "normal", "set": {"[0]": 0.0, "[:, 1]": 2.0}}),
        ]
    )  # fmt: skip
    tensors = plan.init({"qkv": (64, 96), "emb": (100, 32)}, seed=0)
    found = fi.check(tensors, plan, seed=0)
    assert found.ok
    assert [(row.pieces, row.count, row.initial) for row in found.rows] == [
        ("q", 64 * 32, True), ("kv", 64 * 64, True), ("", 99 * 31, True),
    ]  # fmt: skip
    tensors["emb"][0, 5] = 1
    assert words(fi.check(tensors, plan), "set") == "1 of 32 elements of [0, 0:32] are not 0"
    tensors["qkv"][:, :32] *= 3
    found = fi.check(tensors, plan)
    assert "std" in kinds(found, "qkv")
    assert words(found, "std").startswith("[q] std ")


def test_set_elements_of_constants():
    plan = fi.Plan([("w", {"scheme": "ones", "set": {"[0]": 0.0}})])
    tensors = plan.init({"w": (5, 4)}, seed=0)
    assert fi.check(tensors, plan).ok
    assert kinds(fi.check({"w": np.ones((5, 4))}, plan)) == ["set"]
    assert kinds(fi.check({"w": np.zeros((5, 4))}, plan)) == ["value"]


# What is there, and what should be.


def test_missing_and_extra_tensors_shapes_and_types():
    plan = fi.Plan([("w", {"scheme": "normal"}), ("v*", {"scheme": "normal", "dtype": "float32"}), ("s", "skip")])
    x = fi.normal((8, 8), seed=0)
    found = fi.check(
        {"w": x, "bias": x, "v1": x.astype(np.float64)}, plan, shapes={"w": (8, 9), "v2": 4, "s": 3, "v1": (8, 8)}
    )
    assert {(f.kind, f.parameter) for f in found.findings} == {
        ("shape", "w"), ("missing", "v2"), ("extra", "bias"), ("dtype", "v1"),
    }  # fmt: skip
    assert words(found, "shape") == "shape (8, 8) where (8, 9) was declared"
    assert words(found, "dtype") == "float64 where float32 was declared"
    assert words(fi.check({"w": x}, plan, dtype="bfloat16"), "dtype") == "float32 where bfloat16 was declared"
    assert kinds(fi.check({"w": x}, plan, shapes={})) == ["extra"]
    assert words(fi.check({"w": x}, plan), "unused") == "rules that matched nothing: v*, s"
    doubly = fi.Plan([("*", "normal"), ("w", "normal")])
    assert words(fi.check({"w": x}, doubly), "several") == "rules *, w match: (8, 8)"
    assert "no drawn weight is" in words(fi.check({"w": np.arange(8)}, plan), "dtype")


def test_tied_and_skipped_tensors():
    plan = fi.Plan([("a", "normal"), ("b", {"tie": "a"}), ("n", "skip")])
    x = fi.normal((30, 40), seed=0)
    good = fi.check({"a": x, "b": x.copy(), "n": np.full(3, math.nan)}, plan)
    assert good.ok
    assert [row.status for row in good.rows] == ["follows", "follows", "unchecked"]
    y = x.copy()
    y[29, 39] += 1
    assert kinds(fi.check({"a": x, "b": y}, plan)) == ["tie"]
    assert kinds(fi.check({"b": y}, plan)) == ["missing"]


def test_rules_with_roles():
    plan = fi.Plan(
        [("**", {"scheme": "normal", "std": 0.02, "role": "Linear.*"}), ("**", {"scheme": "ones", "role": "Norm.*"})]
    )
    shapes = {"a": {"shape": (256, 128), "role": "Linear.weight"}, "b": {"shape": 4, "role": "Norm.weight"}}
    assert fi.check({"a": w(), "b": np.ones(4)}, plan, shapes=shapes).ok


# What happened to a model.

MODEL = fi.Plan([("*.weight", {"scheme": "normal", "std": 0.02}), ("*.bias", "zeros"), ("*.scale", "ones")])
PARTS = {f"{i}.{kind}": shape for i in range(6) for kind, shape in (("weight", (80, 90)), ("bias", 90), ("scale", 90))}


def test_a_trained_model_is_told_to_be_one():
    rng, tensors = np.random.default_rng(0), MODEL.init(PARTS, seed=0)
    assert fi.check(tensors, MODEL, seed=0).ok
    trained = {name: x + rng.standard_t(4, x.shape).astype(np.float32) * 0.01 for name, x in tensors.items()}
    found = fi.check(trained, MODEL, seed=0)
    assert words(found, "trained") == (
        "100 % of the 6 drawn tensors and 100 % of the 12 constant ones no longer follow their law: trained"
    )
    assert str(found).splitlines()[1].startswith("100 % of the 6")
    assert words(found, "initial") == "0 of 18 tensors hold the bytes of seed 0"
    one = {**tensors, "3.weight": trained["3.weight"]}
    assert not fi.check(one, MODEL).of("trained")
    only = {name: x for name, x in trained.items() if name.endswith("weight")}
    assert words(fi.check(only, MODEL), "trained").endswith("trained, or another initialisation")


def test_another_initialisation_is_told_to_be_one():
    other = fi.Plan([("*.weight", "xavier_uniform"), ("*.bias", "zeros"), ("*.scale", "ones")]).init(PARTS, seed=0)
    found = fi.check(other, MODEL)
    assert "another initialisation, as they follow plain laws" in words(found, "trained")
    assert "0 % of the 12 constant ones" in words(found, "trained")


def test_the_bytes_of_a_seed():
    tensors = MODEL.init(PARTS, seed=7, dtype="bfloat16")
    found = fi.check(tensors, MODEL, seed=7)
    assert words(found, "initial") == "18 of 18 tensors hold the bytes of seed 7"
    assert {row.status for row in found.rows} == {"initial"}
    tensors["2.weight"][79, 89] = 0.02
    found = fi.check(tensors, MODEL, seed=7)
    assert found.ok
    assert [row.parameter for row in found.rows if not row.initial] == ["2.weight"]
    assert {row.initial for row in fi.check(tensors, MODEL).rows} == {None}


# Where tensors come from.


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16", "float64"])
def test_files(tmp_path, dtype):
    single, folder = tmp_path / "a.safetensors", tmp_path / "model"
    checkpoint.write(single, PARTS, MODEL, seed=5, dtype=dtype)
    checkpoint.write(folder, PARTS, MODEL, seed=5, dtype=dtype, max_shard_size="40KB")
    assert len([*folder.glob("*.safetensors")]) > 1
    of_arrays = fi.check(MODEL.init(PARTS, seed=5, dtype=dtype), MODEL, seed=5)
    for path in (single, folder, folder / "model.safetensors.index.json", str(single)):
        found = fi.check(path)
        assert found.ok
        assert words(found, "initial") == "18 of 18 tensors hold the bytes of seed 5"
        assert {row.parameter: row.std for row in found.rows} == {row.parameter: row.std for row in of_arrays.rows}
    size = single.stat().st_size
    with open(single, "r+b") as file:
        file.truncate(size - 1)
    with pytest.raises(ValueError, match="must be a safetensors file"):
        fi.check(single)


def test_a_shard_that_is_missing(tmp_path):
    checkpoint.write(tmp_path / "m", PARTS, MODEL, seed=5, max_shard_size="40KB")
    gone = sorted((tmp_path / "m").glob("*.safetensors"))[1]
    names = {*checkpoint.shapes(gone)}
    gone.unlink()
    found = fi.check(tmp_path / "m")
    assert {finding.parameter for finding in found.of("missing")} == names
    assert {row.parameter for row in found.rows} == {*PARTS} - names
    index = tmp_path / "m" / "model.safetensors.index.json"
    record = json.loads(index.read_text())
    index.write_text(json.dumps({"weight_map": record["weight_map"]}))  # as other programs write it
    assert {finding.parameter for finding in fi.check(tmp_path / "m").of("missing")} == names


def test_files_of_the_library_and_its_types(tmp_path):
    numpy = library("safetensors.numpy")
    x = w()
    numpy.save_file({"w": x, "steps": np.arange(3)}, tmp_path / "x.safetensors")
    plan = fi.Plan([*NORMAL.rules, ("steps", "skip")])
    found = fi.check(tmp_path / "x.safetensors", plan)
    assert found.ok
    assert {row.parameter: row.std for row in found.rows}["w"] == fi.check({"w": x}, NORMAL).rows[0].std
    with pytest.raises(ValueError, match="argument 'plan' must be given"):
        fi.check(tmp_path / "x.safetensors")


def test_nested_mappings_have_names_with_slashes():
    plan = fi.Plan([("*/kernel", {"scheme": "normal", "std": 0.02}), ("*/bias", "zeros")])
    found = fi.check({"dense": {"kernel": w(), "bias": np.zeros(3)}}, plan)
    assert found.ok
    assert [row.parameter for row in found.rows] == ["dense/kernel", "dense/bias"]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16", "float64"])
def test_torch_modules_and_tensors(dtype):
    torch = library("torch")
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(300, 200), torch.nn.ReLU(), torch.nn.Linear(200, 50))
    default = {"low": "-1 / sqrt(fan_in)", "high": "1 / sqrt(fan_in)", "scheme": "uniform"}
    plan = fi.Plan([("*.weight", {**default, "layout": "oi"}), ("*.bias", {**default, "fans_of": "{parent}.weight"})])
    assert fi.check(model, plan).ok
    model = model.to(getattr(torch, dtype))
    found = fi.check(model.state_dict(), plan)
    assert found.ok
    assert {row.dtype for row in found.rows} == {dtype}
    with torch.no_grad():
        torch.nn.init.kaiming_normal_(model[0].weight, mode="fan_out", nonlinearity="relu")
    he = fi.Plan([("0.weight", {"scheme": "he_normal", "layout": "oi"}), ("**", "skip")], first_match=True)
    assert "as if fan_out = 200 were used, not fan_in = 300" in words(fi.check(model, he), "std")
    wanted = model[0].weight.detach().float().numpy().std(dtype=np.float64)
    assert fi.check({"w": model[0].weight.T}, NORMAL).rows[0].std == pytest.approx(wanted, rel=1e-6)
    with pytest.raises(TypeError, match="not one on the meta device"):
        fi.check({"w": torch.empty(3, device="meta")}, NORMAL)


def test_jax_arrays():
    jax = library("jax")
    for dtype in ("float32", "bfloat16", "float16"):
        key = jax.random.key(0)
        x = jax.nn.initializers.he_normal()(key, (256, 128), dtype)
        plan = fi.Plan([("**", {"scheme": "he_normal", "truncated": True})])
        found = fi.check({"params": {"dense": {"kernel": x}}}, plan)
        assert found.rows[0].dtype == dtype
        if dtype == "float32":
            assert found.ok
        wide = jax.nn.initializers.he_normal(in_axis=-1, out_axis=-2)(key, (256, 128), dtype)
        assert "fan_out = 128 were used, not fan_in = 256" in words(fi.check({"w": wide}, plan), "std")


def test_float8_and_complex_numbers():
    x = w((512, 256), std=1.0)
    plan = fi.Plan([("w", "normal")])
    for dtype in (ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2):
        found = fi.check({"w": x.astype(dtype)}, plan)
        assert found.ok, found
        assert kinds(fi.check({"w": (x * 1.1).astype(dtype)}, plan)) == ["std"]
    rows = fi.check({"w": x + 1j * w((512, 256), std=1.0, seed=8)}, plan).rows
    assert rows[0].count == 2 * x.size


# What is shown.


def test_what_is_printed():
    x = w()
    x[0] = 0
    tensors = {"w": x, "<b>": np.ones(3)}
    plan = fi.Plan([*NORMAL.rules, ("<b>", "zeros"), ("other", "ones")])
    found = fi.check(tensors, plan)
    assert str(found).splitlines() == [
        "tensors: 2, laws tested: 1, level: 0.01; 2 not as declared",
        "w: 1 of 256 rows are 0, the first 0: padding, or untouched",
        "<b>: 3 of 3 elements are not 0: all are 1",
        "rules that matched nothing: other",
    ]
    assert repr(found) == f"CheckResult({found.summary})"
    lines = str(found.table()).splitlines()
    assert lines[1].split() == ["parameter", "law", "mean", "std", "law's", "std", "z", "p", "status"]
    assert [line.split()[0] for line in lines[2:]] == ["w", "<b>"]
    assert "and 1 more" in str(found.table(1))
    assert "&lt;b&gt;" in found._repr_html_()
    assert "<b>" not in found._repr_html_()
    record = found.to_dict()
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert record["ok"] is False
    assert record["rows"][0]["expected_max"] == "inf"
    frame = found.to_pandas()
    assert frame.parameter.tolist() == ["w", "<b>"]
    assert frame.findings[1] == "3 of 3 elements are not 0: all are 1"


def test_nothing_and_empty_tensors():
    assert fi.check({}, NORMAL).ok
    found = fi.check({"w": np.zeros((0, 4), np.float32)}, NORMAL)
    assert found.ok
    assert found.rows[0].status == "unchecked"
    assert fi.check({"w": np.float32(0.01)}, NORMAL).ok


def test_progress(tmp_path):
    checkpoint.write(tmp_path / "a.safetensors", PARTS, MODEL, seed=0)
    seen = []
    fi.check(tmp_path / "a.safetensors", progress=lambda done, total: seen.append((done, total)))
    total = 6 * (80 * 90 + 90 + 90) * 4
    assert seen[-1] == (total, total)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    fi.check({"w": w()}, NORMAL, progress=True)


ODD_RULES = [
    *({"scheme": "normal", "std": std, "mean": mean}
      for std in (0, 5e-324, 1e-300, 1, 1e300) for mean in (0, 1, -1e300)),
    *({"scheme": "uniform", "low": a, "high": b} for a, b in ((-1e300, 1e308), (1, 1 + 1e-15), (0, 5e-324), (3, 3))),
    *({"scheme": "truncated_normal", "std": std, "lower": a, "upper": b}
      for std in (1e-300, 1) for a, b in ((-2, 2), (30, math.inf), (-1e-8, 1e-8), (-math.inf, -40))),
    "sparse", "positive_unitball", {"scheme": "constant", "value": 1e300}, {"scheme": "he_normal", "stack": ["a"]},
]  # fmt: skip
ODD_TYPES = ("float64", "float32", "float16", ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, "complex64", "int8", "bool")


@pytest.mark.parametrize("dtype", ODD_TYPES, ids=str)
def test_odd_numbers_are_answered(dtype):
    rng = np.random.default_rng(0)
    for shape in ((20, 30), (1, 1), (500, 4), (0, 3), (2, 3, 4)):
        normal = rng.normal(size=shape)
        arrays = [normal, normal * 1e300, normal * 1e-310, np.full(shape, math.nan), np.full(shape, -math.inf),
                  np.where(rng.random(shape) < 0.3, math.nan, 1e308)]  # fmt: skip
        for rule in ODD_RULES:
            with np.errstate(all="ignore"):
                tensor = arrays[int(rng.integers(len(arrays)))].astype(dtype)
            try:
                found = fi.check({"w": tensor}, fi.Plan([("w", rule)]), seed=0)
            except ValueError as error:
                assert str(error).startswith("argument ")  # noqa: PT017 - a law that no shape or type has
                continue
            assert len(str(found).splitlines()) >= 1
            assert json.dumps(found.to_dict(), allow_nan=False)


REFUSED = {
    "tensors": ({"w": object()}, {"w": "text"}, {3: w()}, 5, None),
    "plan": ("llama", 3),
    "level": (0, 1, math.nan, "x"),
    "seed": (-1, 1.5),
    "dtype": ("int8",),
    "shapes": (5, {"w": (-1,)}),
    "progress": (1, "yes"),
}


@pytest.mark.parametrize(("argument", "value"), [(k, v) for k, values in REFUSED.items() for v in values])
def test_what_is_refused(argument, value):
    arguments = {"tensors": {"w": w()}, "plan": NORMAL, argument: value}
    name = "source" if argument == "shapes" and value == 5 else argument
    with pytest.raises((TypeError, ValueError), match=f"argument '{name}"):
        fi.check(**arguments)
