"""Presets: what a name and its variables stand for, and the registry of all names."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ...words import check_finite, check_flag, check_integer, check_string, nearest, shown, unknown

Rules = list[tuple[str, Any]]
# A variable that counts from 0.
Index = int


@dataclass(frozen=True)
class _Preset:
    line: str
    source: str
    build: Callable[..., Rules]
    parameters: Mapping[str, inspect.Parameter]

    def __str__(self) -> str:
        needed = [word for word, p in self.parameters.items() if p.default is p.empty]
        given = [f"{word}={p.default!r}" for word, p in self.parameters.items() if p.default is not p.empty]
        return f"{self.line} ({', '.join([*needed, *given])}); {self.source}".replace(" ()", "")


_REGISTRY: dict[str, _Preset] = {}

# What an annotation of a preset's variable asks for. Words are held against their choices by the preset itself.
_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "int": lambda name, value: check_integer(name, value, minimum=1),
    "Index": lambda name, value: check_integer(name, value, minimum=0),
    "float": lambda name, value: check_finite(name, value, minimum=0),
    "bool": check_flag,
    "str": check_string,
}


def preset(name: str, line: str, source: str) -> Callable[[Callable[..., Rules]], Callable[..., Rules]]:
    """Register what makes the rules of a preset; its keywords are the preset's variables.

    Numbers among them are variables of the plan, so its rules name them; words and flags choose among rules.
    """

    def register(build: Callable[..., Rules]) -> Callable[..., Rules]:
        if name in _REGISTRY:
            raise ValueError(f"preset {name!r} is registered already")
        _REGISTRY[name] = _Preset(line, source, build, inspect.signature(build).parameters)
        return build

    return register


def preset_lines() -> dict[str, str]:
    """Return the name of each preset with a line: what it is, its variables and its source."""
    return {name: str(entry) for name, entry in sorted(_REGISTRY.items())}


def preset_plan(name: object, variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a preset's plan, each variable checked."""
    entry = _REGISTRY.get(check_string("name", name))
    if entry is None:
        raise unknown("name", name, _REGISTRY)
    parameters = entry.parameters
    for word, value in variables.items():
        if word not in parameters:
            raise ValueError(
                f"argument {shown(word)} must be a variable of {shown(name)}: {', '.join(parameters) or 'none'}, "
                f"got {shown(value)}{nearest(word, parameters)}"
            )
    missing = [word for word, p in parameters.items() if p.default is p.empty and word not in variables]
    if missing:
        raise ValueError(
            f"argument {missing[0]!r} must be given: preset {shown(name)} needs {', '.join(missing)}, got "
            f"{', '.join(map(shown, variables)) or 'none'}"
        )
    values = {word: _checked(p, variables[word]) if word in variables else p.default for word, p in parameters.items()}
    numbers = {word: value for word, value in values.items() if type(value) in (int, float)}
    return {"rules": entry.build(**values), "variables": numbers}


def _checked(parameter: inspect.Parameter, value: Any) -> Any:
    kind, _, optional = str(parameter.annotation).partition(" | ")
    return None if optional and value is None else _CHECKS[kind](parameter.name, value)
