"""The safetensors format: eight bytes with the header's length, the header in JSON, the data.

A header says what to read and where, and anybody may have written it: it is held against the file before a byte of
memory is taken for what it claims.
"""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

from ..files import path_name
from ..weights.regions import MOST_AXES, Shape
from ..words import in_short, shown

# Name of a type in our words -> in the format's, and its bits. What `init` draws is among the first.
_TYPES = {
    "float64": ("F64", 64), "float32": ("F32", 32), "float16": ("F16", 16), "bfloat16": ("BF16", 16),
    "float8_e4m3fn": ("F8_E4M3", 8), "float8_e5m2": ("F8_E5M2", 8), "complex64": ("C64", 64),
    "float8_e8m0fnu": ("F8_E8M0", 8), "float4_e2m1fn": ("F4", 4), "float6_e2m3fn": ("F6_E2M3", 6),
    "float6_e3m2fn": ("F6_E3M2", 6), "bool": ("BOOL", 8), "int8": ("I8", 8), "uint8": ("U8", 8), "int16": ("I16", 16),
    "uint16": ("U16", 16), "int32": ("I32", 32), "uint32": ("U32", 32), "int64": ("I64", 64), "uint64": ("U64", 64),
}  # fmt: skip
BITS = {name: bits for name, (_, bits) in _TYPES.items()}
_NAMES = {name: tag for name, (tag, _) in _TYPES.items()}
_OURS = {tag: name for name, (tag, _) in _TYPES.items()}

METADATA = "__metadata__"
# The reference implementation reads no longer header.
MOST_HEADER = 100_000_000
_LENGTH = struct.Struct("<Q")
_ALIGNMENT = 8


class Stored(NamedTuple):
    """A tensor in a file: its type and shape, and the bytes of the file that it is."""

    dtype: str
    shape: Shape
    begin: int
    end: int


class Header(NamedTuple):
    """What a file says of itself."""

    metadata: dict[str, str]
    tensors: dict[str, Stored]


def size_of(dtype: str, shape: Shape) -> int:
    """Return the bytes of a tensor."""
    return math.prod(shape) * BITS[dtype] // 8


def make_header(tensors: Mapping[str, tuple[str, Shape]], metadata: Mapping[str, str]) -> tuple[bytes, Header]:
    """Return the first bytes of a file, and where its tensors will lie.

    As the reference does: the widest types first, so that each tensor is aligned to its own, then by name.
    """
    names = sorted(tensors, key=lambda name: (-BITS[tensors[name][0]], tensors[name][0], name))
    record: dict[str, Any] = {METADATA: dict(metadata)}
    places, offset = {}, 0
    for name in names:
        dtype, shape = tensors[name]
        end = offset + size_of(dtype, shape)
        record[name] = {"dtype": _NAMES[dtype], "shape": list(shape), "data_offsets": [offset, end]}
        places[name], offset = Stored(dtype, shape, offset, end), end
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    if len(text) > MOST_HEADER:
        raise ValueError(f"argument 'shapes' must fit a header of {MOST_HEADER} bytes a file, got {len(text)}")
    start = _LENGTH.size + len(text)
    return _LENGTH.pack(len(text)) + text, Header(dict(metadata), _moved(places, start))


def _moved(places: Mapping[str, Stored], start: int) -> dict[str, Stored]:
    return {
        name: stored._replace(begin=start + stored.begin, end=start + stored.end) for name, stored in places.items()
    }


def read_header(path: Any) -> Header:
    """Return the header of a file, held against the file's size.

    Parameters
    ----------
    path
        Of a file in the safetensors format.

    Returns
    -------
    Header
        (metadata, name -> (dtype, shape, begin, end)): `begin` and `end` count from the start of the file.

    Raises
    ------
    ValueError
        The header lies: huge, cut off, no UTF-8 or JSON, a key twice, sizes that are negative or do not fit the data,
        tensors that overlap or leave holes.
    OSError
        Of the file.

    Notes
    -----
    https://github.com/huggingface/safetensors (the format).
    """
    name = path_name(path)
    with open(name, "rb") as file:
        total = os.fstat(file.fileno()).st_size
        reader = _Reader(name)
        (length,) = _LENGTH.unpack(reader.exactly(file.read(_LENGTH.size), _LENGTH.size))
        if length > MOST_HEADER:
            reader.refuse(f"its header has {length} bytes, more than {MOST_HEADER}")
        if length > total - _LENGTH.size:
            reader.refuse(f"its header has {length} bytes, the whole file {total}")
        text = reader.exactly(file.read(length), length)
    start = _LENGTH.size + length
    return reader.header(text, start, total - start)


class _Reader:
    """Reads the parts of a header, and names the file in refusals."""

    def __init__(self, name: str) -> None:
        self._name = name

    def refuse(self, reason: str) -> NoReturn:
        raise ValueError(f"file {shown(self._name)} must be a safetensors file: {in_short(reason, 300)}") from None

    def exactly(self, content: bytes, size: int) -> bytes:
        if len(content) != size:
            self.refuse(f"it is cut off after {len(content)} of {size} bytes")
        return content

    def header(self, text: bytes, start: int, size: int) -> Header:
        record = self._record(text)
        metadata = record.pop(METADATA, {})
        if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
            self.refuse(f"{METADATA} must map strings to strings, got {shown(metadata)}")
        tensors = {name: self._stored(name, entry, size) for name, entry in record.items()}
        end = 0
        for name, stored in sorted(tensors.items(), key=lambda item: (item[1].begin, item[1].end)):
            if stored.begin != end:
                what = "overlaps another" if stored.begin < end else "leaves a hole before it"
                self.refuse(f"tensor {shown(name)} {what}, got data_offsets {[stored.begin, stored.end]} after {end}")
            end = stored.end
        if end != size:
            self.refuse(f"its tensors end at byte {end} of {size} bytes of data")
        return Header(metadata, _moved(tensors, start))

    def _record(self, text: bytes) -> dict[str, Any]:
        if not text.startswith(b"{"):
            self.refuse(f"its header must begin with '{{', got {shown(text[:16])}")
        try:
            record = json.loads(text.decode(), object_pairs_hook=self._once, parse_constant=self._constant)
        except RecursionError:
            self.refuse("its header is nested too deeply")
        except ValueError as error:
            if str(error).startswith("file "):
                raise
            self.refuse(f"its header must be JSON in UTF-8: {error}")
        assert isinstance(record, dict)  # it begins with a brace
        return record

    def _once(self, pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                self.refuse(f"the key {shown(key)} stands twice in its header")
            found[key] = value
        return found

    def _constant(self, word: str) -> NoReturn:
        self.refuse(f"its header holds {word}, which is no JSON")

    def _stored(self, name: str, entry: Any, size: int) -> Stored:
        if not isinstance(entry, dict) or {*entry} != {"dtype", "shape", "data_offsets"}:
            self.refuse(f"tensor {shown(name)} must have dtype, shape and data_offsets, got {shown(entry)}")
        tag, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
        dtype = _OURS.get(tag) if isinstance(tag, str) else None
        if dtype is None:
            self.refuse(f"tensor {shown(name)} must have a dtype of {', '.join(_OURS)}, got {shown(tag)}")
        if not _counts(shape) or len(shape) > MOST_AXES or math.prod(n for n in shape if n) >= 1 << 63:
            self.refuse(f"tensor {shown(name)} must have a shape of at most {MOST_AXES} integers >= 0 and fewer than "
                        f"2**63 elements, got {shown(shape)}")  # fmt: skip
        if not _counts(offsets) or len(offsets) != 2 or not offsets[0] <= offsets[1] <= size:
            self.refuse(
                f"tensor {shown(name)} must have data_offsets [begin, end], 0 <= begin <= end <= {size}, "
                f"got {shown(offsets)}"
            )
        if math.prod(shape) * BITS[dtype] != 8 * (offsets[1] - offsets[0]):
            self.refuse(f"tensor {shown(name)}, {tag} of shape {shown(shape)}, has {offsets[1] - offsets[0]} bytes")
        return Stored(dtype, tuple(shape), *offsets)


def _counts(values: Any) -> bool:
    return isinstance(values, list) and all(type(n) is int and n >= 0 for n in values)
