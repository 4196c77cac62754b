"""Headers of safetensors files: those that we write are the library's own, and those that lie are refused."""

import json
import struct

import ml_dtypes
import numpy as np
import pytest
from optional import library

from fastinit.models.safetensors import BITS, make_header, read_header

TENSORS = {
    "b": np.arange(12, dtype=np.float32).reshape(3, 4),
    "é": np.ones(3, np.float16),
    "none": np.zeros((0, 2)),
    "a.weight": np.full((2, 5), 2, ml_dtypes.bfloat16),
    "scalar": np.array(3.0),
    "odd": np.ones((3, 1), ml_dtypes.float8_e4m3fn),
    "e5": np.ones(7, ml_dtypes.float8_e5m2),
    "i": np.arange(5),
    "z": np.ones(2, np.complex64),
}


def test_files_of_the_library_are_read_and_their_headers_written_alike(tmp_path):
    save = library("safetensors.numpy").save_file
    path = tmp_path / "a.safetensors"
    save(TENSORS, path, {"format": "pt"})
    content = path.read_bytes()
    header = read_header(path)
    assert header.metadata == {"format": "pt"}
    assert header.tensors.keys() == TENSORS.keys()
    for name, stored in header.tensors.items():
        assert (stored.dtype, stored.shape) == (TENSORS[name].dtype.name, TENSORS[name].shape)
        assert content[stored.begin : stored.end] == TENSORS[name].tobytes()
    # One type at a time: among types of one width their order is nobody's business.
    for names in ({"b"}, {"é"}, {"scalar", "none"}, {"odd"}):
        some = {name: TENSORS[name] for name in names}
        save(some, path, {"format": "pt"})
        first, found = make_header({name: (x.dtype.name, x.shape) for name, x in some.items()}, {"format": "pt"})
        assert path.read_bytes().startswith(first)
        assert found == read_header(path)


def test_every_tensor_is_aligned_to_its_type(tmp_path):
    _, header = make_header({name: (x.dtype.name, x.shape) for name, x in TENSORS.items()}, {"a": "bc"})
    assert all(stored.begin % (BITS[stored.dtype] // 8) == 0 for stored in header.tensors.values())


def entry(dtype="F32", shape=(2,), offsets=(0, 8), **more):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets), **more}


def framed(text, data=b"", length=None):
    text = text if isinstance(text, bytes) else json.dumps(text).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


EIGHT = bytes(8)
# Content of a file, and what is said of it.
LIES = {
    "empty": (b"", "cut off after 0 of 8 bytes"),
    "seven bytes": (b"\0" * 7, "cut off after 7 of 8 bytes"),
    "no header": (bytes(8), "must begin with '{'"),
    "huge": (framed(b"{}", length=2**64 - 1), "18446744073709551615 bytes, more than 100000000"),
    "negative, if it were signed": (framed(b"{}", length=2**63), "more than 100000000"),
    "longer than the file": (framed(b"{}", length=3), "has 3 bytes, the whole file 10"),
    "cut off": (framed({"a": entry()}, EIGHT)[:40], "the whole file 40"),
    "no UTF-8": (framed(b'{"\xff": 1}'), "must be JSON in UTF-8"),
    "a lone surrogate": (framed(b'{"\\ud800": {}}'), "must have dtype, shape and data_offsets"),
    "no JSON": (framed(b"{a"), "must be JSON in UTF-8"),
    "a list": (framed(b"[]"), "must begin with '{'"),
    "blanks first": (framed(b" {}"), "must begin with '{'"),
    "more behind": (framed(b"{} {}"), "must be JSON"),
    "deep": (framed(b'{"a":' + b"[" * 100_000), "nested too deeply|must be JSON"),
    "a number of 10^5 digits": (framed(b'{"a":' + b"9" * 100_000 + b"}"), "must be JSON in UTF-8"),
    "a key twice": (framed(b'{"a":{},"a":{}}'), "the key 'a' stands twice"),
    "a key twice, inside": (framed(b'{"a":{"dtype":"F32","dtype":"F32"}}'), "the key 'dtype' stands twice"),
    "NaN": (framed(b'{"a":NaN}'), "holds NaN"),
    "metadata of numbers": (framed({"__metadata__": {"a": 1}}), "must map strings to strings"),
    "a tensor that is none": (framed({"a": 3}), "must have dtype, shape and data_offsets"),
    "a part is missing": (framed({"a": {"dtype": "F32", "shape": []}}), "must have dtype, shape and data_offsets"),
    "a part too much": (framed({"a": entry(more=1)}, EIGHT), "must have dtype, shape and data_offsets"),
    "unknown type": (framed({"a": entry("F33")}, EIGHT), "must have a dtype of .* got 'F33'"),
    "a type that is none": (framed({"a": entry(["F32"])}, EIGHT), "must have a dtype of"),
    "a negative size": (framed({"a": entry(shape=(-2,))}, EIGHT), "integers >= 0"),
    "a broken size": (framed({"a": entry(shape=(2.0,))}, EIGHT), "integers >= 0"),
    "true": (framed({"a": entry(shape=(True, 2))}, EIGHT), "integers >= 0"),
    "a shape that is none": (framed({"a": {**entry(), "shape": 2}}, EIGHT), "integers >= 0"),
    "65 axes": (framed({"a": entry(shape=(1,) * 65)}, EIGHT), "at most 64"),
    "2^64 elements": (framed({"a": entry(shape=(2**32, 2**32))}, EIGHT), "fewer than 2\\*\\*63"),
    "2^64 elements and none": (framed({"a": entry(shape=(2**32, 2**32, 0), offsets=(0, 0))}), "fewer than 2\\*\\*63"),
    "more than there is": (framed({"a": entry(shape=(3,), offsets=(0, 12))}, EIGHT), "begin <= end <= 8"),
    "negative offsets": (framed({"a": entry(offsets=(-8, 0))}, EIGHT), "0 <= begin"),
    "offsets turned round": (framed({"a": entry(offsets=(8, 0))}, EIGHT), "begin <= end"),
    "three offsets": (framed({"a": entry(offsets=(0, 4, 8))}, EIGHT), "begin <= end"),
    "too few bytes": (framed({"a": entry(shape=(3,))}, EIGHT), "has 8 bytes"),
    "too many bytes": (framed({"a": entry(shape=(1,))}, EIGHT), "has 8 bytes"),
    "half a byte": (framed({"a": entry("F4", (3,), (0, 1))}, b"1"), "has 1 bytes"),
    "overlapping": (framed({"a": entry(), "b": entry(offsets=(4, 12))}, bytes(12)), "'b' overlaps another"),
    "twice the same": (framed({"a": entry(), "b": entry()}, EIGHT), "'b' overlaps another"),
    "a hole": (framed({"a": entry(), "b": entry(offsets=(12, 20))}, bytes(20)), "'b' leaves a hole"),
    "a hole at the start": (framed({"a": entry(offsets=(8, 16))}, bytes(16)), "'a' leaves a hole"),
    "more at the end": (framed({"a": entry()}, bytes(9)), "end at byte 8 of 9"),
    "nothing but data": (framed({}, EIGHT), "end at byte 0 of 8"),
}


@pytest.mark.parametrize("case", LIES)
def test_a_header_that_lies_is_refused(tmp_path, case):
    content, words = LIES[case]
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=words) as caught:
        read_header(path)
    message = str(caught.value)
    assert message.startswith(f"file {str(path)!r} must be a safetensors file: ")
    assert message.isprintable()
    assert len(message) < 1000


def test_what_the_library_refuses_is_refused(tmp_path):
    """Each of these files is an error of the library's, too: we are not stricter than the format."""
    deserialize = library("safetensors").deserialize
    kinder = {"a part too much", "true"}  # it looks at fewer things
    for case, (content, _) in LIES.items():
        if case in kinder or case.startswith(("a key twice", "65 axes", "2^64 elements and", "blanks")):
            continue
        with pytest.raises(Exception, match=r".") as caught:
            deserialize(content)
        assert type(caught.value).__name__ == "SafetensorError", case


def test_a_header_is_not_allocated_before_it_is_known_to_be_there(tmp_path):
    import tracemalloc

    path = tmp_path / "a.safetensors"
    path.write_bytes(framed(b"{}", length=99_999_999))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="the whole file 10"):
            read_header(path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_header_beyond_what_readers_take_is_refused():
    tensors = {"x" * 500 + str(i): ("float32", (1,)) for i in range(200)}
    from fastinit.models import safetensors

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(safetensors, "MOST_HEADER", 1000)
        with pytest.raises(ValueError, match="argument 'shapes' must fit a header of 1000 bytes a file"):
            make_header(tensors, {})
