"""The elementary functions against mpmath, float64 and SciPy: each docstring's bound is measured anew."""

import importlib.util
import platform
import re
from pathlib import Path

import mpmath as mp
import numpy as np
import pytest
from fastinit_kernels.machine.jit import compiled
from fastinit_kernels.numeric import elementary, transcendental
from scipy.special import log_ndtr

ONE_ARGUMENT = ["log_f32", "log_f64", "normal_centre_f32", "normal_outer_f32", "normal_tail_f64"]
TURNS = ["cos_sin_turn_f32", "cos_sin_turn_f64"]


def loop(name):
    """The function called `name` over arrays, as a fresh compile of its own."""
    function = getattr(elementary, name)

    @compiled
    def one(x, out):
        for i in range(x.size):
            out[i] = function(x[i])

    @compiled
    def two(x, first, second):
        for i in range(x.size):
            first[i], second[i] = function(x[i])

    return two if name in TURNS else one


def evaluate(name, x):
    run, dtype = loop(name), np.float32 if name.endswith("f32") else np.float64
    outputs = [np.empty(x.shape, dtype) for _ in range(2 if name in TURNS else 1)]
    run(x, *outputs)
    return outputs if name in TURNS else outputs[0]


def stated(name):
    """The bound in the docstring of the function: the number after `within`."""
    return float(re.search(r"within ([\d.]+(?:e-\d+)?)", getattr(elementary, name).__doc__)[1])


def ulps(got, exact):
    """Error in units of the last place of got's type; `exact` in a wider type."""
    return np.abs(got - exact) / np.spacing(np.abs(exact).astype(got.dtype)).astype(exact.dtype)


def in_mpmath(function, x):
    """`function` in 40 digits, as an error-free pair (float64 value, remainder) for each x."""
    with mp.workdps(40):
        exact = [function(mp.mpf(float(v))) for v in x]
        value = np.array([float(v) for v in exact])
        rest = np.array([float(v - mp.mpf(float(v))) for v in exact])
    return value, rest


def test_log_f32_over_every_mantissa():
    mantissas = np.arange(0x3F000000, 0x40000000, dtype=np.uint32).view(np.float32)
    got = evaluate("log_f32", mantissas)
    exact = np.log(mantissas.astype(np.float64))
    assert got[mantissas == 1] == 0
    inside = mantissas != 1
    assert ulps(got[inside], exact[inside]).max() <= stated("log_f32")


def test_log_f32_over_every_exponent():
    x = np.random.default_rng(1).uniform(1, 2, (254, 10_000)).astype(np.float32)
    x = np.ldexp(x, np.arange(-126, 128)[:, None]).ravel()
    got = evaluate("log_f32", x)
    inside = x != 1
    assert ulps(got[inside], np.log(x[inside].astype(np.float64))).max() <= stated("log_f32")


def test_log_f64():
    r = np.random.default_rng(2)
    x = np.concatenate(
        [
            r.uniform(0.5, 2, 3000),
            1 + r.uniform(-1, 1, 2000) * 10.0 ** r.uniform(-16, -1, 2000),
            10.0 ** r.uniform(-307, 307, 2000),
            np.nextafter(1, [0, 2]),
        ]
    )
    x = x[x != 1]
    value, rest = in_mpmath(mp.log, x)
    got = evaluate("log_f64", x)
    assert (np.abs((got - value) - rest) / np.spacing(np.abs(value))).max() <= stated("log_f64")
    assert evaluate("log_f64", np.ones(1))[0] == 0


def test_cos_sin_turn_f32():
    edges = (np.arange(-5000, 5001)[:, None] + np.arange(8) * 2**29).ravel() % 2**32
    w = np.concatenate([np.random.default_rng(3).integers(0, 2**32, 1 << 21), edges]).astype(np.uint32)
    cosine, sine = evaluate("cos_sin_turn_f32", w)
    angle = w.astype(np.float64) * (2 * np.pi / 2**32)  # in error by at most 1e-15
    assert np.abs(cosine - np.cos(angle)).max() <= stated("cos_sin_turn_f32")
    assert np.abs(sine - np.sin(angle)).max() <= stated("cos_sin_turn_f32")


def test_cos_sin_turn_f64():
    r = np.random.default_rng(4)
    w = np.concatenate(
        [
            r.integers(0, 2**64, 2000, dtype=np.uint64),
            np.array([(k * 2**61 + d) % 2**64 for k in range(8) for d in range(-20480, 20481, 512)], np.uint64),
        ]
    )
    cosine, sine = evaluate("cos_sin_turn_f64", w)
    turns = (w >> np.uint64(11)).astype(np.float64) * 2.0**-53
    bound = stated("cos_sin_turn_f64")
    for got, exact in ((cosine, lambda t: mp.cospi(2 * t)), (sine, lambda t: mp.sinpi(2 * t))):
        value, rest = in_mpmath(exact, turns)
        assert np.abs((got - value) - rest).max() <= bound


@pytest.mark.parametrize("name", TURNS)
def test_quarter_turns_are_exact(name):
    bits = 32 if name.endswith("f32") else 64
    w = np.array([k << (bits - 2) for k in range(4)], f"uint{bits}")
    cosine, sine = evaluate(name, w)
    np.testing.assert_array_equal(cosine, [1, 0, -1, 0])
    np.testing.assert_array_equal(sine, [0, 1, 0, -1])


def quantile(tail_log):
    """The z with -log Q(z) = tail_log, float64: Newton on SciPy's log_ndtr, from the asymptote."""
    z = np.maximum(np.sqrt(2 * tail_log) - 1.2, 0.0)
    for _ in range(50):
        log_q = log_ndtr(-z)
        z += (log_q + tail_log) * np.exp(log_q + z * z / 2) * np.sqrt(2 * np.pi)
    return z


def test_normal_centre_f32():
    # From z, so that v = 1 - 4 d^2 is known where it is small; then at the float32 next to that v.
    z = np.linspace(1e-3, 2.5, 4000)
    with mp.workdps(40):
        root = mp.sqrt(2 * mp.pi)

        d = [mp.erf(mp.mpf(float(x)) / mp.sqrt(2)) / 2 for x in z]
        v = np.array([float(1 - 4 * x**2) for x in d]).astype(np.float32)
        # z / d at the rounded v, whose d moves by -(change of v) / (8 d), and z by that times sqrt(2 pi) exp(z^2 / 2).
        moved = [(1 - 4 * x**2 - mp.mpf(float(y))) / (8 * x) for x, y in zip(d, v, strict=True)]
        at = [
            (x + m, mp.mpf(float(t)) + m * root * mp.exp(mp.mpf(float(t)) ** 2 / 2))
            for x, t, m in zip(d, z, moved, strict=True)
        ]
        exact = np.array([float((t / x - root) * x) for x, t in at])
    got = evaluate("normal_centre_f32", v) * (1 - v.astype(np.float64)) * np.array([float(x) for x, _ in at])
    assert (np.abs(got - exact) / z).max() <= stated("normal_centre_f32")


def test_normal_outer_f32():
    s = np.linspace(3.1, 6.8, 1 << 18).astype(np.float32)
    exact = quantile(s.astype(np.float64) ** 2 / 2)
    got = evaluate("normal_outer_f32", s)
    assert np.abs(got / exact - 1).max() <= stated("normal_outer_f32")


def test_normal_tail_f64():
    z = np.random.default_rng(5).uniform(0, [[0.1], [1], [4], [8], [20], [41]], (6, 400)).ravel()
    with mp.workdps(40):
        exact = [-mp.log(mp.erfc(mp.mpf(v) / mp.sqrt(2)) / 2) for v in z]
        tail_log = np.array([float(v) for v in exact])
        # dz/dl = Q / phi carries z over to the rounded argument.
        moved = [
            (mp.mpf(rounded) - v) * mp.exp(-v) / mp.npdf(mp.mpf(at))
            for rounded, v, at in zip(tail_log, exact, z, strict=True)
        ]
    error = evaluate("normal_tail_f64", tail_log) - z - np.array([float(v) for v in moved])
    assert (np.abs(error) / np.maximum(z, 1)).max() <= stated("normal_tail_f64")


def test_normal_tail_is_zero_in_the_centre():
    x = np.array([0.5, 0.69, np.nextafter(np.log(2), 0)])
    np.testing.assert_array_equal(evaluate("normal_tail_f64", x), 0)


X86_FMA, ARM_FMA = r"vfn?madd\w+p{}", r"fmla(?:\s+v|\.)"
PACKED_FMA = {"x86_64": X86_FMA, "AMD64": X86_FMA, "aarch64": ARM_FMA, "arm64": ARM_FMA}
LIBM = re.compile(r"\$(?:fmaf?|logf?|expf?|sinf?|cosf?|powf?)\b")


@pytest.mark.skipif(platform.machine() not in PACKED_FMA, reason="knows x86 and ARM")
@pytest.mark.parametrize("name", ONE_ARGUMENT + TURNS)
def test_a_loop_over_the_function_vectorises(name):
    single = name.endswith("f32")
    run, out = loop(name), np.zeros(8, np.float32 if single else np.float64)
    words = np.zeros(8, np.uint32 if single else np.uint64)
    arguments = (words, out, out) if name in TURNS else (out + 1, out)
    run(*arguments)
    (code,) = run.inspect_asm().values()
    packed = re.findall(PACKED_FMA[platform.machine()].format("s" if single else "d"), code)
    assert len(packed) >= 7
    assert not LIBM.search(code)


def load_fit():
    path = Path(__file__).parents[1] / "kernels" / "fit.py"
    spec = importlib.util.spec_from_file_location("fit", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# The others take longer to fit.
@pytest.mark.parametrize(
    ("module", "table"),
    [
        (elementary, "SIN_TURN_F32"),
        (elementary, "COS_TURN_F64"),
        (elementary, "OUTER_F32"),
        (transcendental, "EXP_F32"),
    ],
)
def test_the_tables_are_what_the_fit_gives(module, table):
    coefficients, _ = load_fit().TABLES[table]()
    assert tuple(coefficients) == getattr(module, f"_{table}")
