"""From rules and shapes to assignments: every parameter is matched, its expressions computed, its pieces named."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from ..weights.fans import Layout, check_wiring
from ..weights.initialize import law_and_layout
from ..weights.laws import Law
from ..weights.regions import MOST_AXES, Region, Shape, check_shape, whole_region
from ..weights.schemes import resolve_scheme
from ..weights.streams import check_name
from ..words import attribute, plain_string, printable, shown
from .costs import MOST_IN_NAME
from .expressions import Expression, Number, Value
from .pieces import Assignment, Piece
from .rules import Draw, Rule

# Tensors of a stack, or of nested ones.
_MOST_PIECES = 1 << 20
_MOST_LISTED = 12


@dataclass(frozen=True)
class Parameter:
    """What a plan is asked about: a name, a shape, and what the parameter is if somebody knows."""

    name: str
    shape: Shape
    role: str = ""


def read_shapes(shapes: Any) -> dict[str, Parameter]:
    """Return the parameters of a mapping from names to shapes, or to what has a shape (and a role)."""
    if not isinstance(shapes, Mapping):
        raise TypeError(f"argument 'shapes' must be a mapping of names to shapes, got {shown(shapes)}")
    found = {}
    for key, value in dict(shapes).items():
        name = check_name(key)
        if len(name) > MOST_IN_NAME:
            raise ValueError(
                f"argument 'shapes' must have names of at most {MOST_IN_NAME} characters, got {shown(name)}"
            )
        found[name] = _parameter(name, value)
    return found


def _parameter(name: str, value: Any) -> Parameter:
    role = ""
    if isinstance(value, Mapping):
        role, value = plain_string(value.get("role", "")) or "", value.get("shape")
    else:
        has = attribute(value, "shape")
        value = value if has is None else tuple(has)
        role = plain_string(attribute(value, "role")) or ""
    try:
        return Parameter(name, check_shape(value), role)
    except (TypeError, ValueError) as error:
        raise type(error)(f"argument 'shapes[{printable(name)}]' {str(error).removeprefix(_SHAPE)}") from None


_SHAPE = "argument 'shape' "


class Resolver:
    """Answers for a plan's parameters, each at most once."""

    def __init__(
        self, rules: Sequence[Rule], variables: Mapping[str, Number], first_match: bool, shapes: Mapping[str, Parameter]
    ) -> None:
        self._rules, self._variables, self._first, self._shapes = rules, variables, first_match, shapes
        self._resolving: list[str] = []
        self._matches = {name: self._match(parameter) for name, parameter in shapes.items()}

    def assignments(self, dtype: str) -> dict[str, Assignment]:
        """Return what each parameter is assigned; first of all raise for those that have no rule or several."""
        matched = self.matched()
        none = [f"{printable(name)} {self._shapes[name].shape}" for name, rules in matched.items() if not rules]
        several = [f"{printable(name)} (rules {', '.join(rules)})" for name, rules in matched.items() if len(rules) > 1]
        if none or several:
            words = [f"none for {_listed(none)}"] * bool(none) + [f"several for {_listed(several)}"] * bool(several)
            hint = ""
            if none and any(rule.role for rule in self._rules) and not any(p.role for p in self._shapes.values()):
                hint = "; rules ask for roles, and no shape says one, as {'shape': (4, 8), 'role': 'Linear.weight'}"
            raise ValueError(
                f"argument 'shapes' must have exactly one rule for each parameter, got {'; '.join(words)}{hint}"
            )
        found = self.assigned(dtype)
        _check_ties(found)
        return found

    def matched(self) -> dict[str, list[str]]:
        """Return the patterns that match each parameter, at most two: one is as it should be."""
        return {name: [self._rules[rule].label for rule, _ in chosen] for name, chosen in self._matches.items()}

    def assigned(self, dtype: str) -> dict[str, Assignment]:
        """Return what the parameters with one rule are assigned."""
        found = {
            name: self._assignment(self._shapes[name], *chosen[0], dtype)
            for name, chosen in self._matches.items()
            if len(chosen) == 1
        }
        _check_streams(found)
        return found

    def _match(self, parameter: Parameter) -> list[tuple[int, dict[str, Any]]]:
        return list(itertools.islice(self._candidates(parameter), 1 if self._first else 2))

    def _candidates(self, parameter: Parameter) -> Iterator[tuple[int, dict[str, Any]]]:
        for number, rule in enumerate(self._rules):
            captured = rule.pattern.match(parameter.name)
            if captured is None or (rule.ndim is not None and len(parameter.shape) not in rule.ndim):
                continue
            if rule.role is not None and rule.role.match(parameter.role) is None:
                continue
            values = self._values(parameter, captured)
            if rule.when is None or rule.when.value(values):
                yield number, values

    def _values(self, parameter: Parameter, captured: Mapping[str, str]) -> dict[str, Any]:
        name = parameter.name
        parent, _, leaf = name.replace("/", ".").rpartition(".")
        return {
            **self._variables,
            **{k: int(v) if v.isascii() and v.isdigit() else v for k, v in captured.items()},
            **_of_shape(parameter.shape),
            "name": name,
            "parent": name[: len(parent)],
            "leaf": leaf,
        }

    def _assignment(self, parameter: Parameter, number: int, values: dict[str, Any], dtype: str) -> Assignment:
        rule = self._rules[number]
        made = Assignment(
            parameter.name,
            parameter.shape,
            rule.dtype or dtype,
            number,
            rule.label,
            tie=self._tie(rule, values),
            skip=rule.draw is None and not rule.ties,
            note=rule.note,
        )
        try:
            if rule.lr is not None:
                made = replace(made, lr=self._lr(rule, rule.lr, parameter.shape, values))
            if rule.draw is None:
                return made
            pieces = tuple(self._stacked(rule, rule.draw, parameter, values))
            return replace(made, pieces=pieces, sets=tuple(_set_boxes(rule.draw, parameter.shape, values)))
        except (TypeError, ValueError) as error:
            raise type(error)(f"{error} (parameter {printable(parameter.name)}, rule {rule.label})") from None

    def _tie(self, rule: Rule, values: dict[str, Any]) -> str | None:
        names = [template.format_map(values) for template in rule.ties]
        return next((name for name in names if name in self._shapes), names[0] if names else None)

    def _lr(self, rule: Rule, lr: Expression, shape: Shape, values: dict[str, Any]) -> float:
        """Return the factor of the learning rate: one for all tensors of a stack, whose shape and fans it may use."""
        own, draw = shape[len(rule.stack) :], rule.draw or Draw(None, {}, {})
        here = {**values, **_of_shape(own)}
        factor = lr.value(_Scope(here, lambda fan: self._fan(draw, own, here, fan)))
        if not 0 <= factor < math.inf:
            raise ValueError(f"argument 'rules' must have factors lr that are finite and >= 0, got {factor}")
        return float(factor)

    def _stacked(self, rule: Rule, draw: Draw, parameter: Parameter, values: dict[str, Any]) -> Iterator[Piece]:
        depth, shape = len(rule.stack), parameter.shape
        if depth > len(shape):
            raise ValueError(
                f"argument 'rules' must stack at most the {len(shape)} axes of shape {shape}, got {rule.stack}"
            )
        if math.prod(shape[:depth]) > _MOST_PIECES:
            raise ValueError(f"argument 'rules' must stack at most {_MOST_PIECES} tensors, got {rule.stack} of {shape}")
        own = shape[depth:]
        for index in itertools.product(*map(range, shape[:depth])):
            here = {**values, **_of_shape(own), **dict(zip(rule.stack, index, strict=True))}
            name = parameter.name if draw.name is None else draw.name.format_map(here)
            if depth and draw.name is None:
                name = ".".join((name, *map(str, index)))
            yield from self._segments(draw, name, own, tuple((i, 1) for i in index), here)

    def _segments(self, draw: Draw, name: str, shape: Shape, index: Region, values: dict[str, Any]) -> Iterator[Piece]:
        if not draw.segments:
            yield self._piece(draw, name, shape, (*index, *whole_region(shape)), values)
            return
        if not -len(shape) <= draw.axis < len(shape):
            raise ValueError(f"argument 'rules' must have segments along one of the axes of {shape}, got {draw.axis}")
        axis, start = draw.axis % len(shape), 0
        lengths = _lengths(draw, shape[axis], values)
        for (_, part), length in zip(draw.segments, lengths, strict=True):
            own = (*shape[:axis], length, *shape[axis + 1 :])
            here = {**values, **_of_shape(own)}
            template = part.name or ""
            box = (*index, *((start, length) if a == axis else (0, n) for a, n in enumerate(shape)))
            yield self._piece(part, template.format_map(here), own, box, here)
            start += length

    def _piece(self, draw: Draw, name: str, shape: Shape, box: Region, values: dict[str, Any]) -> Piece:
        check_name(name)
        scope = _Scope(values, lambda fan: self._fan(draw, shape, values, fan))
        wiring = {key: scope.number(value) for key, value in draw.wiring.items()}
        params = {key: scope.number(value) for key, value in draw.params.items()}
        if draw.fans_of is not None:
            fans = {fan: scope[fan] for fan in ("fan_in", "fan_out")}
            wiring = {**{k: v for k, v in wiring.items() if k == "layout"}, **fans}
        key = _frozen(params)
        law, layout, fans_read, words = _drawn(draw.scheme or "", key, shape, _frozen(wiring), repr(key))
        return Piece(name, words, law, layout, fans_read, box, shape, _frozen(wiring))

    def _fan(self, draw: Draw, shape: Shape, values: dict[str, Any], fan: str) -> float:
        if draw.fans_of is not None:
            return self._fan_of_other(draw.fans_of.format_map(values), fan)
        scope = _Scope(values, lambda fan: self._fan(replace(draw, wiring={}), shape, values, fan))
        wiring = {key: scope.number(value) for key, value in draw.wiring.items()}
        return _fans(shape, _frozen(wiring), (fan,))[fan == "fan_out"]

    def _fan_of_other(self, name: str, fan: str) -> float:
        other = self._shapes.get(name)
        if other is None:
            raise ValueError(f"argument 'rules' must name in fans_of a parameter that there is, got {shown(name)}")
        if name in self._resolving:
            raise ValueError(
                f"argument 'rules' must not go in a circle with fans_of, got {' -> '.join(self._resolving)}"
            )
        self._resolving.append(name)
        try:
            candidates = list(itertools.islice(self._candidates(other), 1))
            draw = self._rules[candidates[0][0]].draw if candidates else None
            depth = len(self._rules[candidates[0][0]].stack) if candidates else 0
            shape = other.shape[depth:]
            values = {**candidates[0][1], **_of_shape(shape)} if candidates else {}
            return self._fan(draw or Draw(None, {}, {}), shape, values, fan)
        finally:
            self._resolving.pop()


class _Scope(dict[str, Any]):
    """The values of names, with the fans computed when they are asked for."""

    def __init__(self, values: Mapping[str, Any], fan: Callable[[str], float]) -> None:
        super().__init__(values)
        self._fan = fan

    def __missing__(self, name: str) -> Value:
        if name in ("fan_in", "fan_out"):
            value = self[name] = self._fan(name)
            return value
        raise KeyError(name)

    def number(self, value: Any) -> Any:
        return value.value(self) if isinstance(value, Expression) else value


def _of_shape(shape: Shape) -> dict[str, Value]:
    return {"shape": shape, "ndim": len(shape), "size": math.prod(shape)}


def _frozen(values: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple((key, _hashed(value)) for key, value in values.items())


def _hashed(value: Any) -> Any:
    if isinstance(value, dict):  # which nothing takes: it is refused where it is read
        return _hashed([*value.items()])
    return tuple(map(_hashed, value)) if isinstance(value, list | tuple) else value


def _fans(shape: Shape, wiring: tuple[tuple[str, Any], ...], needs: tuple[str, ...]) -> tuple[float, float]:
    given = dict(wiring)
    fan_in, fan_out = given.pop("fan_in", None), given.pop("fan_out", None)
    found = check_wiring(
        given.get("layout", "io"), shape, given.get("groups", 1), given.get("stride", 1), given.get("transposed", False)
    ).fans(shape, [fan for fan in needs if {"fan_in": fan_in, "fan_out": fan_out}[fan] is None], fan_in, fan_out)
    return found.fan_in, found.fan_out


def both_fans(piece: Piece) -> tuple[float, float] | None:
    """Return the fans of a piece as its rule counts them, whatever its law looked at; None where it has none."""
    try:
        return _fans(piece.shape, piece.wiring, ("fan_in", "fan_out"))
    except (TypeError, ValueError):
        return None


@lru_cache(maxsize=4096)
def _drawn(
    scheme: str, params: tuple[tuple[str, Any], ...], shape: Shape, wiring: tuple[tuple[str, Any], ...], told: str
) -> tuple[Law, Layout | None, tuple[float, float], str]:
    # Of equal parameters `told` tells types and signs apart: True is no 1, and -0.0 no 0.0.
    resolved = resolve_scheme(scheme, dict(params))
    law, layout = law_and_layout(resolved, shape, **dict(wiring))
    return law, layout, _fans(shape, wiring, tuple(resolved.rule.needs)), str(resolved)


def _lengths(draw: Draw, total: int, values: Mapping[str, Any]) -> list[int]:
    """Return the length of each segment; those without a size share what is left."""
    given = [None if size is None else size.value(values) for size, _ in draw.segments]
    if any(n is not None and (n != int(n) or n < 0) for n in given):
        raise ValueError(f"argument 'rules' must have whole sizes of segments, got {given}")
    known, open_ones = int(sum(n for n in given if n is not None)), given.count(None)
    share, left = divmod(max(0, total - known), open_ones) if open_ones else (0, 0)
    if left or (known != total if not open_ones else known > total):
        raise ValueError(f"argument 'rules' must have segments that add up to the {total} of their axis, got {given}")
    return [share if n is None else int(n) for n in given]


def _set_boxes(draw: Draw, shape: Shape, values: Mapping[str, Any]) -> Iterator[tuple[Region, float]]:
    for axes, value in draw.sets:
        if len(axes) > min(len(shape), MOST_AXES):
            raise ValueError(f"argument 'rules' must set elements by at most {len(shape)} indices of shape {shape}")
        box = [_span(axis, size, values) for axis, size in zip(axes, shape, strict=False)]
        yield (*box, *whole_region(shape[len(axes) :])), float(value.value(values))


def _span(axis: Any, size: int, values: Mapping[str, Any]) -> tuple[int, int]:
    if isinstance(axis, Expression):
        index = axis.value(values)
        if index != int(index) or not -size <= index < size:
            raise ValueError(f"argument 'rules' must set elements that there are, got index {index} of {size}")
        return int(index) % size, 1
    start, stop = (end if end is None else int(end.value(values)) for end in axis)
    first, last, _ = slice(start, stop).indices(size)
    return first, max(0, last - first)


def _check_ties(found: Mapping[str, Assignment]) -> None:
    for name, assignment in found.items():
        if assignment.tie is None:
            continue
        other = found.get(assignment.tie)
        if other is None or not other.is_drawn or other.shape != assignment.shape:
            raise ValueError(
                f"argument 'rules' must tie {printable(name)} to a parameter of its shape {assignment.shape} that is "
                f"drawn, got {shown(assignment.tie)}"
            )


def _check_streams(found: Mapping[str, Assignment]) -> None:
    """Refuse two pieces of one stream: their draws would be the same."""
    seen: dict[int, str] = {}
    for assignment in found.values():
        for number, name in assignment.streams():
            if number in seen:
                same = "the same name" if seen[number] == name else "names of one hash, 8 bytes of BLAKE2b"
                raise ValueError(
                    f"argument 'rules' must give each drawn piece a stream of its own, got {shown(seen[number])} and "
                    f"{shown(name)}: {same}"
                )
            seen[number] = name


def _listed(words: Sequence[str]) -> str:
    more = len(words) - _MOST_LISTED
    return ", ".join(words[:_MOST_LISTED]) + (f" and {more} more" if more > 0 else "")
