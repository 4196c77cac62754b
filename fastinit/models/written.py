"""Plans as files: JSON and TOML, read with suspicion and written whole."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Callable, Mapping
from typing import Any

from ..files import path_name, replacing
from ..words import entries, in_short, plain_string, shown

FORMAT = 1
_MOST_BYTES = 1 << 24
_KEYS = ("format", "variables", "first_match", "rules")


def to_dict(rules: list[tuple[str, Any]], variables: Mapping[str, Any], first_match: bool) -> dict[str, Any]:
    """Return a plan in types that JSON and TOML have."""
    return {
        "format": FORMAT,
        **({"variables": dict(variables)} if variables else {}),
        **({"first_match": True} if first_match else {}),
        "rules": [
            {"pattern": pattern, **({"scheme": what} if isinstance(what, str) else what)} for pattern, what in rules
        ],
    }


def from_dict(record: Any) -> dict[str, Any]:
    """Return the arguments of the plan in a record."""
    if not isinstance(record, Mapping) or "rules" not in record:
        raise ValueError(f"argument 'record' must be a plan, a mapping with rules, got {shown(record)}")
    unknown = {*map(str, record)} - {*_KEYS}
    if unknown:
        raise ValueError(f"argument 'record' must have {', '.join(_KEYS)} and nothing else, got {shown(min(unknown))}")
    if record.get("format", FORMAT) != FORMAT:
        raise ValueError(f"argument 'record' must be a plan of format {FORMAT}, got {shown(record['format'])}")
    rules = entries(record["rules"], 100_000)
    if rules is None:
        raise ValueError(f"argument 'record' must have rules, a list, got {shown(record['rules'])}")
    return {
        "rules": [_pair(rule) for rule in rules],
        "variables": record.get("variables"),
        "first_match": record.get("first_match", False),
    }


def _pair(rule: Any) -> tuple[Any, Any]:
    if not isinstance(rule, Mapping):
        several = entries(rule, 2)
        if several is None or len(several) != 2:
            raise ValueError(f"argument 'record' must have rules with a pattern each, got {shown(rule)}")
        return several[0], several[1]
    what = {k: v for k, v in rule.items() if k != "pattern"}
    if "pattern" not in rule or not what:
        raise ValueError(f"argument 'record' must have rules with a pattern and a scheme each, got {shown(rule)}")
    return rule["pattern"], what["scheme"] if {*what} == {"scheme"} else what


def to_json(record: Mapping[str, Any]) -> str:
    """Return a record as one line; numbers that JSON lacks are text, which rules take for expressions."""
    return json.dumps(_finite(record), ensure_ascii=False)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def from_json(text: Any) -> Any:
    """Return what a JSON text says."""
    plain = plain_string(text)
    if plain is None:
        raise TypeError(f"argument 'text' must be a string, got {shown(text)}")
    try:
        return json.loads(plain)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"argument 'text' must be JSON, got {shown(plain)}: {in_short(str(error))}") from None


def save(record: Mapping[str, Any], path: Any) -> None:
    """Write a record as the file's name says."""
    writer = {".toml": to_toml, ".json": _pretty}[_suffix(path)]
    text = writer(record).encode()
    with replacing(path) as file:
        file.write(text)


def load(path: Any) -> Any:
    """Read a record as the file's name says."""
    name, suffix = path_name(path), _suffix(path)
    with open(name, "rb") as file:
        content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise ValueError(f"file {shown(name)} must be a plan of at most {_MOST_BYTES >> 20} MiB")
    reader: Callable[[str], Any] = tomllib.loads if suffix == ".toml" else json.loads
    try:
        return reader(content.decode())
    except (ValueError, RecursionError) as error:
        kind = suffix[1:].upper()
        raise ValueError(f"file {shown(name)} must be {kind} in UTF-8: {in_short(str(error) or 'too deep')}") from None


def _suffix(path: Any) -> str:
    name = path_name(path).lower()
    for suffix in (".toml", ".json"):
        if name.endswith(suffix):
            return suffix
    raise ValueError(f"argument 'path' must end with .toml or .json, got {shown(path)}")


def _pretty(record: Mapping[str, Any]) -> str:
    return json.dumps(_finite(record), ensure_ascii=False, indent=2) + "\n"


def to_toml(record: Mapping[str, Any]) -> str:
    """Return a record as TOML: a table a rule."""
    lines = [f"{key} = {_toml(value)}" for key, value in record.items() if key != "rules"]
    for rule in record["rules"]:
        lines += ["", "[[rules]]", *(f"{_key(key)} = {_toml(value)}" for key, value in rule.items())]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")  # TOML's escapes are those of JSON
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(k)} = {_toml(v)}" for k, v in value.items()) + " }" if value else "{}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return repr(value)  # of numbers Python writes what TOML reads, inf and nan among them


def _key(key: str) -> str:
    return key if key.isascii() and key.replace("_", "").replace("-", "").isalnum() else _toml(key)
