"""Every kind of `out`: filled right, or refused with nothing written, and never a byte beside it touched."""

import ml_dtypes
import numpy as np
import pytest

import fastinit as fi

SHAPE = (6, 10)
GUARD = 64
# One for each way in which the package writes: a kernel, an assignment, blocks with a temporary, single elements.
SCHEMES = ["normal", "constant", "positive_unitball", "sparse", "normalized", "caffe_gaussian"]


def drawn(scheme, **arguments):
    params = {"sparse": {"nonzeros": 3}, "constant": {"value": 0.5}, "caffe_gaussian": {"sparse": 4}}.get(scheme, {})
    return fi.init(scheme, SHAPE, seed=3, name="w", **params, **arguments)


def guarded(dtype=np.float32, size=60):
    """Memory with a margin of a value that no law gives, and what is between the margins."""
    memory = np.full(size + 2 * GUARD, 7.25, dtype)
    return memory, memory[GUARD : GUARD + size]


def untouched(memory, inside):
    mask = np.ones(memory.size, bool)
    mask[GUARD : GUARD + inside] = False
    return bool(np.all(memory[mask] == memory.dtype.type(7.25)))


def records(memory, inner):
    return np.zeros(SHAPE, np.dtype([("key", np.int16), ("w", np.float32), ("rest", np.float64, (2,))]))["w"]


# Name -> an array of SHAPE over the inner memory (60 float32 values) or memory of its own.
VIEWS = {
    "matrix": lambda memory, inner: inner.reshape(SHAPE).view(np.matrix),
    "transposed": lambda memory, inner: inner.reshape(SHAPE[::-1]).T,
    "transposed matrix": lambda memory, inner: inner.reshape(SHAPE[::-1]).view(np.matrix).T,
    "reversed": lambda memory, inner: inner.reshape(SHAPE)[::-1, ::-1],
    "fortran": lambda memory, inner: inner.reshape(SHAPE, order="F"),
    "every second": lambda memory, inner: np.zeros((12, 20), np.float32)[::2, ::2],
    "field of a record": records,
    "real part": lambda memory, inner: np.zeros(SHAPE, np.complex64).real,
    "subclass": lambda memory, inner: inner.reshape(SHAPE).view(Named),
    "unaligned": lambda memory, inner: np.zeros(241, np.uint8)[1:].view(np.float32).reshape(SHAPE),
    "diagonals": lambda memory, inner: np.lib.stride_tricks.as_strided(np.zeros(76, np.float32), SHAPE, (4, 28)),
    "scattered": lambda memory, inner: np.lib.stride_tricks.as_strided(np.zeros(700, np.float32), SHAPE, (4, 200)),
}


class Named(np.ndarray):
    """A subclass like those of other libraries: an array with something more to it."""

    def reshape(self, *shape, **options):
        raise AssertionError("a subclass may reshape as it likes")


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("view", VIEWS)
def test_views_are_filled_and_nothing_beside_them(scheme, view):
    memory, inner = guarded()
    out = VIEWS[view](memory, inner)
    assert out.shape == SHAPE
    got = drawn(scheme, out=out)
    assert got is out
    np.testing.assert_array_equal(np.asarray(out), drawn(scheme))
    assert untouched(memory, inner.size)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("mode", ["w+", "r+", "c"])
def test_memory_maps_are_filled(tmp_path, scheme, mode):
    path = tmp_path / "w.bin"
    path.write_bytes(bytes(4 * (60 + 2 * GUARD)))
    out = np.memmap(path, np.float32, mode, offset=4 * GUARD, shape=SHAPE)
    expected = drawn(scheme)
    assert drawn(scheme, out=out) is out
    np.testing.assert_array_equal(out, expected)
    out.flush()
    written = np.fromfile(path, np.float32)
    if mode == "c":  # copy on write: the file stays
        assert not written.any()
    else:
        np.testing.assert_array_equal(written[GUARD : GUARD + 60].reshape(SHAPE), expected)
        assert not written[:GUARD].any()


@pytest.mark.parametrize("dtype", [np.float64, np.float16, ml_dtypes.bfloat16])
def test_other_dtypes_of_views_and_subclasses(dtype):
    for kind in (np.ndarray, np.matrix, Named):
        memory, inner = guarded(dtype)
        out = inner.reshape(SHAPE[::-1]).T.view(kind)
        drawn("normal", out=out, dtype=dtype)
        np.testing.assert_array_equal(np.asarray(out), drawn("normal", dtype=dtype))
        assert untouched(memory, inner.size)


def test_arrays_without_elements_and_without_axes():
    for shape in [(), (0,), (3, 0), (0, 5), (1, 1, 1)]:
        out = np.full(shape, 7.25, np.float32)
        got = fi.normal(shape, seed=1, out=out)
        assert got is out
        np.testing.assert_array_equal(out, fi.normal(shape, seed=1))


strided = np.lib.stride_tricks.as_strided
OVERLAPPING = {
    "repeated rows": lambda x: strided(x, SHAPE, (0, 4)),
    "rows that overlap": lambda x: strided(x, SHAPE, (4, 4)),
    "rows one short": lambda x: strided(x, SHAPE, (36, 4)),
    "columns that overlap": lambda x: strided(x, SHAPE, (4, 20)),
    "elements that overlap": lambda x: strided(x, SHAPE, (40, 2)),
    "backwards": lambda x: strided(x[30:], SHAPE, (-4, 4)),
    "window": lambda x: np.lib.stride_tricks.sliding_window_view(x[:15], 10, writeable=True),
    "broadcast": lambda x: np.lib.stride_tricks.as_strided(x, SHAPE, (40, 0)),
}


@pytest.mark.parametrize("case", OVERLAPPING)
def test_overlaps_are_refused(case):
    memory = np.full(200, 7.25, np.float32)
    out = OVERLAPPING[case](memory)
    with pytest.raises(ValueError, match="argument 'out' must not share memory among its elements, got strides"):
        drawn("normal", out=out)
    assert np.all(memory == 7.25)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: np.ma.zeros(SHAPE, np.float32), "must be an array without a mask, got a MaskedArray"),
        (lambda: np.ma.masked_all(SHAPE, np.float32), "must be an array without a mask, got a MaskedArray"),
        (lambda: np.zeros(SHAPE, np.dtype([("w", np.float32)])), "must have dtype float32 in native byte order"),
        (lambda: np.zeros(SHAPE, object), "must have dtype float32 in native byte order"),
        (lambda: np.zeros(SHAPE, ">f4"), "must have dtype float32 in native byte order"),
        (
            lambda: np.zeros(SHAPE, np.float32).view(np.matrix).T,
            r"must have the region's shape \(6, 10\), got \(10, 6\)",
        ),
        (lambda: np.broadcast_to(np.float32(7.25), SHAPE), "must be writable, got a read-only array"),
        (lambda: [[7.25] * 10] * 6, "must be a NumPy array, got list"),
        (lambda: memoryview(np.zeros(SHAPE, np.float32)), "must be a NumPy array, got memoryview"),
        (lambda: np.float32(7.25), "must be a NumPy array, got float32"),
    ],
)
def test_other_arrays_are_refused(make, text):
    out = make()
    before = np.array(out, copy=True)
    with pytest.raises((TypeError, ValueError), match=f"argument 'out' {text}"):
        drawn("normal", out=out)
    np.testing.assert_array_equal(np.array(out), before)


def test_a_region_of_a_shared_array_leaves_the_rest():
    whole = np.full((20, 30), 7.25, np.float32)
    part = (slice(5, 9), slice(3, 10))
    expected = fi.normal((20, 30), seed=5)[part]
    got = fi.normal((20, 30), seed=5, region=part, out=whole[part])
    np.testing.assert_array_equal(got, expected)
    whole[part] = 7.25
    assert np.all(whole == 7.25)
