"""Arithmetic that a rule may write: numbers, names and a few functions, evaluated without Python's `eval`.

A rule file may come from anybody. What an expression can do is written here and nowhere else: no attributes, no calls
but those of `FUNCTIONS`, bounded length, depth and size of numbers; all else is refused when the plan is made.
"""

from __future__ import annotations

import ast
import math
import operator
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..words import nearest, shown

Number = int | float | bool
# `shape` is the one name that stands for several numbers.
Value = Number | tuple[int, ...]

MOST_CHARACTERS = 400
_DEEPEST = 40
_MOST_BITS = 64  # of an integer; beyond, numbers are floats

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": abs,
    "ceil": math.ceil,
    "cos": math.cos,
    "exp": math.exp,
    "floor": math.floor,
    "len": len,
    "log": math.log,
    "log2": math.log2,
    "max": max,
    "min": min,
    "prod": math.prod,
    "round": round,
    "sin": math.sin,
    "sqrt": math.sqrt,
}
CONSTANTS = {"pi": math.pi, "inf": math.inf}

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_COMPARED: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
    ast.Not: operator.not_,
}


class Expression:
    """An arithmetic expression, parsed and held against what is allowed.

    Parameters
    ----------
    text
        For instance "0.02 / sqrt(2 * n_layers)", "shape[0] if ndim > 1 else 1".
    where
        What the text is, for refusals: "argument 'rules' …".

    Attributes
    ----------
    names
        What has to have a value.
    """

    def __init__(self, text: str, where: str) -> None:
        self.text, self._where = text, where
        self._tree = self._parsed()
        self.names = frozenset(
            node.id for node in ast.walk(self._tree) if isinstance(node, ast.Name) and node.id not in _WORDS
        )

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"

    def check_names(self, known: Iterable[str]) -> None:
        """Refuse names that no value will be given."""
        names = {*known}
        for name in sorted(self.names - names):
            raise self._refusal(f"{shown(name)} is none of {', '.join(sorted(names))}{nearest(name, names)}")

    def value(self, values: Mapping[str, Value]) -> Number:
        """Return the number; `values` may be lazy: only names that are met are asked for."""
        try:
            result: Number = self._evaluate(self._tree, values)
        except (ArithmeticError, TypeError, IndexError) as error:
            reason = "a number is too large" if isinstance(error, OverflowError) else str(error)
            raise self._refusal(f"{reason}{_given(self.names, values)}") from None
        except ValueError as error:
            if str(error).startswith("argument "):  # of a value that was asked for
                raise
            raise self._refusal(f"{error}{_given(self.names, values)}") from None
        if isinstance(result, tuple) or result != result:
            raise self._refusal(f"its value is {shown(result)}{_given(self.names, values)}")
        return int(result) if isinstance(result, bool) else result

    def _refusal(self, reason: str) -> ValueError:
        return ValueError(f"{self._where} must be a number or arithmetic with one, got {shown(self.text)}: {reason}")

    def _parsed(self) -> ast.expr:
        if len(self.text) > MOST_CHARACTERS:
            raise self._refusal(f"it has more than {MOST_CHARACTERS} characters")
        if not self.text.isascii():
            raise self._refusal("it has characters that are not ASCII")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                tree = ast.parse(self.text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            reason = error.msg if isinstance(error, SyntaxError) else str(error) or type(error).__name__
            raise self._refusal(reason) from None
        self._check(tree, 0)
        return tree

    def _check(self, node: ast.AST, depth: int) -> None:
        if depth > _DEEPEST:
            raise self._refusal(f"it is nested more than {_DEEPEST} deep")
        if isinstance(node, ast.Constant):
            if type(node.value) not in (int, float):
                raise self._refusal(f"{shown(node.value)} is no number")
        elif isinstance(node, ast.Call):
            if not (isinstance(node.func, ast.Name) and node.func.id in FUNCTIONS and not node.keywords):
                raise self._refusal(f"of functions there are {', '.join(FUNCTIONS)}")
        elif not isinstance(node, _NODES) and type(node) not in _OPERATORS:
            raise self._refusal(f"{type(node).__name__} is no arithmetic")
        for child in ast.iter_child_nodes(node):
            self._check(child, depth + 1)

    def _evaluate(self, node: ast.expr, values: Mapping[str, Value]) -> Any:
        match node:
            case ast.Constant(value=value):
                return _bounded(value)
            case ast.Name(id=name):
                return CONSTANTS[name] if name in CONSTANTS else self._named(name, values)
            case ast.UnaryOp(op=op, operand=operand):
                return _bounded(_UNARY[type(op)](_one(self._evaluate(operand, values))))
            case ast.BinOp(left=left, op=op, right=right):
                a, b = (_one(self._evaluate(side, values)) for side in (left, right))
                return _bounded(_power(a, b) if isinstance(op, ast.Pow) else _BINARY[type(op)](a, b))
            case ast.Compare(left=left, ops=ops, comparators=others):
                sides = [_one(self._evaluate(side, values)) for side in (left, *others)]
                return all(_COMPARED[type(op)](a, b) for op, a, b in zip(ops, sides, sides[1:], strict=False))
            case ast.BoolOp(op=op, values=sides):
                found = (bool(_one(self._evaluate(side, values))) for side in sides)
                return all(found) if isinstance(op, ast.And) else any(found)
            case ast.IfExp(test=test, body=body, orelse=other):
                return self._evaluate(body if _one(self._evaluate(test, values)) else other, values)
            case ast.Subscript(value=inner, slice=index):
                return self._evaluate(inner, values)[_one(self._evaluate(index, values))]
            case ast.Call(func=ast.Name(id=name), args=arguments):
                return _bounded(FUNCTIONS[name](*(self._evaluate(argument, values) for argument in arguments)))
        raise self._refusal(f"{type(node).__name__} is no arithmetic")

    def _named(self, name: str, values: Mapping[str, Value]) -> Value:
        try:
            value = values[name]
        except KeyError:
            raise self._refusal(f"there is no {shown(name)} here{nearest(name, values)}") from None
        if isinstance(value, str):  # a word that a pattern captured
            raise self._refusal(f"{name} is the text {shown(value)}")
        return value


_WORDS = {*FUNCTIONS, *CONSTANTS}
_NODES = (
    ast.Name,
    ast.Load,
    ast.UnaryOp,
    ast.BinOp,
    ast.Pow,
    ast.Compare,
    ast.BoolOp,
    ast.And,
    ast.Or,
    ast.IfExp,
    ast.Subscript,
)
_OPERATORS = {*_BINARY, *_COMPARED, *_UNARY}


def _one(value: Any) -> Any:
    if isinstance(value, tuple):
        raise TypeError("a shape is several numbers: take one of them, as shape[0], or prod(shape)")
    return value


def _power(a: Number, b: Number) -> Number:
    if isinstance(a, int) and isinstance(b, int) and (b < 0 or a.bit_length() * b > _MOST_BITS):
        a = float(a)
    result = a**b
    if isinstance(result, complex):
        raise ArithmeticError("the power is no real number")
    return result


def _bounded(value: Any) -> Any:
    if type(value) is int and value.bit_length() > _MOST_BITS:
        return float(value)
    return value


def _given(names: Iterable[str], values: Mapping[str, Value]) -> str:
    found = []
    for name in sorted(names):
        try:
            found.append(f"{name} = {shown(values[name])}")
        except (KeyError, ValueError):
            continue
    return f" (with {', '.join(found)})" if found else ""
