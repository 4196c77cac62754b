"""Rules by parameter name for whole models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import DTypeLike, NDArray

from ..markup import table
from ..weights.dtypes import check_dtype
from ..weights.streams import check_seed
from ..words import check_flag, fitting, shown
from . import written
from .assigned import Assignments as Assignments
from .explain import Explanation
from .expressions import Number
from .presets import preset_lines, preset_plan
from .reading import read_rules, read_variables
from .resolve import Resolver, read_shapes


class Plan:
    """Rules that say how each parameter of a model is drawn.

    Each parameter is a tensor by itself, whose stream is its name: adding, renaming, reordering or sharding others
    changes none of its bytes.

    Parameters
    ----------
    rules
        (pattern, what) pairs.

        A pattern is a glob for the whole name: `*` is any text without `.` and `/`, `**` any text, `**.` at the start
        also none, `{layer}` a number that expressions can use, `{q,k,v}` one of several words. Or "re:" and a regular
        expression, whose named groups can be used.

        What is a scheme's name, "skip" (left alone), or a dict:

        - `scheme` and its parameters; numbers may be expressions: `"0.02 / sqrt(2 * n_layers)"`;
        - `ndim` (a number or several), `role` (a glob) and `when` (an expression): further conditions;
        - `layout`, `groups`, `stride`, `transposed`, `fan_in`, `fan_out` as in `init`; `fans_of`: the parameter whose
          fans are meant, as `"{parent}.weight"`;
        - `dtype`: the parameter's own, whatever the model's;
        - `stack`: names for the indices along the first axes, each index a tensor of its own, as
          `stack=["layer", "expert"]` for (layers, experts, …); `name` a template of its stream's name, such as
          `"layers.{layer}.w1.weight"`, by default the parameter's name and the indices;
        - `segments` along `axis`: dicts with a `name` each, a `size` (an expression; those without share the rest) and
          what differs from the rule: packed q|k|v, gate|up;
        - `set`: elements with a value of their own, `{"[0]": 0}`, `{"[:, 1]": 0}`;
        - `tie`: the name of the parameter that it shares its values with, or several: the first that there is;
        - `lr`: the factor of the learning rate that belongs to it; `note`: words of yours.

        Expressions are arithmetic with + - * / // % **, comparisons, `… if … else …` and the functions sqrt, exp,
        log, log2, sin, cos, abs, min, max, floor, ceil, round, prod and len, over the variables, what the pattern
        captured, indices of a stack, and `shape`, `ndim`, `size`, `fan_in`, `fan_out`.
    variables
        Numbers with names, such as n_layers; one given by an expression may use those before it.
    first_match
        Take the first rule that matches. Otherwise several are an error.

    Raises
    ------
    ValueError, TypeError
        A rule that cannot be read, with the pattern it belongs to.

    Examples
    --------
    >>> import fastinit as fi
    >>> plan = fi.Plan(
    ...     [
    ...         ("embed.weight", {"scheme": "normal", "std": 0.02}),
    ...         ("layers.{layer}.{q,k,v}.weight", {"scheme": "normal", "std": 0.02, "layout": "oi"}),
    ...         ("layers.{layer}.o.weight", {"scheme": "normal", "std": "0.02 / sqrt(2 * (layer + 1))"}),
    ...         ("**.bias", "zeros"),
    ...     ],
    ... )
    >>> shapes = {"embed.weight": (9, 8), "layers.1.o.weight": (8, 8), "layers.1.o.bias": 8}
    >>> tensors = plan.init(shapes, seed=0, dtype="bfloat16")
    >>> {name: tensor.shape for name, tensor in tensors.items()}
    {'embed.weight': (9, 8), 'layers.1.o.weight': (8, 8), 'layers.1.o.bias': (8,)}
    >>> same = fi.normal((8, 8), std=0.01, seed=0, name="layers.1.o.weight", dtype="bfloat16")
    >>> bool((tensors["layers.1.o.weight"] == same).all())
    True
    """

    def __init__(
        self,
        rules: Sequence[tuple[Any, Any]] | Plan,
        *,
        variables: Mapping[str, Any] | None = None,
        first_match: bool = False,
    ) -> None:
        if isinstance(rules, Plan):
            variables = {**rules.variables, **read_variables(variables)}
            first_match, rules = first_match or rules.first_match, rules.rules
        self._variables = read_variables(variables)
        self._rules = read_rules(rules, self._variables)
        self._first = check_flag("first_match", first_match)

    @property
    def rules(self) -> list[tuple[str, Any]]:
        """The rules as (pattern, what) pairs in plain types."""
        return [(rule.pattern.text, rule.written) for rule in self._rules]

    @property
    def variables(self) -> dict[str, Number]:
        """The variables."""
        return dict(self._variables)

    @property
    def first_match(self) -> bool:
        """Whether the first rule that matches is taken."""
        return self._first

    def __repr__(self) -> str:
        given = "".join(f", {k}={v!r}" for k, v in self._variables.items())
        return f"Plan({len(self._rules)} rules{given}{', first_match=True' * self._first})"

    def _repr_html_(self) -> str:
        rows = [(number, pattern, shown(rule)) for number, (pattern, rule) in enumerate(self.rules)]
        variables = ", ".join(f"{name} = {value}" for name, value in self.variables.items())
        return table(("rule", "pattern", "what it gets"), rows, f"Plan{f', {variables}' if variables else ''}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Plan) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash(self.to_json())

    def resolve(self, shapes: Mapping[str, Any], *, dtype: DTypeLike = "float32") -> Assignments:
        """Return what each parameter is assigned, computed and checked; nothing is drawn.

        Parameters
        ----------
        shapes
            Name -> shape, or what has a `shape` (an array, a tensor on the meta device, a `ShapeDtypeStruct`), or a
            dict with a `shape` and a `role`.
        dtype
            Of parameters whose rule says nothing else.

        Returns
        -------
        Assignments
            A mapping in the order of `shapes`, which fills any region of any parameter.

        Raises
        ------
        ValueError, TypeError
            Parameters without a rule, or with several, all listed; an expression that has no value; a law that the
            dtype cannot hold; two parameters whose names have the same hash.

        Examples
        --------
        >>> import fastinit as fi
        >>> found = fi.Plan([("**", "he_normal")]).resolve({"a": (4, 2), "b": (6, 2)})
        >>> found["a"].pieces[0].scheme
        "he_normal(mode='fan_in', nonlinearity='leaky_relu', negative_slope=None, scale=1.0, truncated=False)"
        """
        kind = check_dtype(dtype)
        resolver = Resolver(self._rules, self._variables, self._first, read_shapes(shapes))
        return Assignments(resolver.assignments(kind))

    def init(
        self,
        shapes: Mapping[str, Any],
        *,
        seed: int | None = None,
        dtype: DTypeLike = "float32",
        out: Mapping[str, NDArray[Any]] | None = None,
    ) -> dict[str, NDArray[Any]]:
        """Return an array for each parameter; skipped ones are left out, tied ones are the same array.

        Parameters
        ----------
        shapes, dtype
            As in `resolve`.
        seed
            0 <= seed < 2^64, of all parameters; None takes fresh entropy.
        out
            Arrays to fill, by name; what it lacks is allocated.

        Returns
        -------
        dict
            Name -> array.

        Raises
        ------
        ValueError, TypeError
            As in `resolve`, and for an `out` that cannot be filled; before anything is drawn.

        Examples
        --------
        >>> import fastinit as fi
        >>> tensors = fi.Plan([("**", {"scheme": "normal", "std": "1 / sqrt(shape[0])"})]).init({"w": (16, 4)}, seed=1)
        >>> bool((tensors["w"] == fi.normal((16, 4), std=0.25, seed=1, name="w")).all())
        True
        """
        found, number = self.resolve(shapes, dtype=dtype), check_seed(seed)
        if out is not None and not isinstance(out, Mapping):
            raise TypeError(f"argument 'out' must be a mapping of names to arrays, got {shown(out)}")
        given = {} if out is None else dict(out)
        for name in given:
            if name not in found:
                raise ValueError(f"argument 'out' must have names of parameters, got {shown(name)}")
        found.check(number)
        sizes = {name: given.get(name) for name, assignment in found.items() if assignment.is_drawn}
        with fitting("shapes", f"{len(sizes)} tensors"):
            tensors = {name: found.fill(name, seed=number, out=array) for name, array in sizes.items()}
        for name, assignment in found.items():
            if assignment.tie is not None:
                tensors[name] = tensors[assignment.tie]
        return {name: tensors[name] for name in found if name in tensors}

    def explain(self, shapes: Mapping[str, Any], *, dtype: DTypeLike = "float32") -> Explanation:
        """Return a table of what each parameter is assigned: rule, fans, law, standard deviation, stream.

        Parameters
        ----------
        shapes, dtype
            As in `resolve`.

        Returns
        -------
        Explanation
            Printed as a table, in notebooks too; `rows` are dicts, `unused` the patterns that matched nothing.

        Raises
        ------
        ValueError, TypeError
            As in `resolve`.

        Examples
        --------
        >>> import fastinit as fi
        >>> print(fi.Plan([("w", "he_normal"), ("b", "zeros")]).explain({"w": (8, 4), "b": (4,)}))
        parameter  shape   dtype    rule  fan_in  fan_out  law                      std  stream
        w          (8, 4)  float32  w          8        -  Normal(mean=0, std=0.5)  0.5  w
        b          (4,)    float32  b          -        -  Constant(value=0)          0  b
        """
        return Explanation(self.resolve(shapes, dtype=dtype), [rule.label for rule in self._rules])

    def learning_rates(self, shapes: Mapping[str, Any]) -> dict[str, float]:
        """Return the factor of the learning rate that belongs to each parameter: the rules' `lr`, 1 where none is said.

        Parameters
        ----------
        shapes
            As in `resolve`.

        Returns
        -------
        dict
            Name -> factor; a tied parameter has that of the one whose values it shares.

        Raises
        ------
        ValueError, TypeError
            As in `resolve`.

        Examples
        --------
        >>> import fastinit as fi
        >>> plan = fi.Plan.preset("mup", base=256, width=1024)
        >>> plan.learning_rates({"wte.weight": (50, 1024), "h.0.mlp.c_fc.weight": (1024, 4096)})
        {'wte.weight': 1.0, 'h.0.mlp.c_fc.weight': 0.25}
        """
        found = self.resolve(shapes)
        return {name: found[one.tie or name].lr for name, one in found.items()}

    @classmethod
    def preset(cls, name: str, /, **variables: Any) -> Plan:
        """Return the plan of a model or project that people run, from its source.

        Parameters
        ----------
        name
            One of `presets()`.
        **variables
            What the plan has to know, as n_layers; `presets()` tells which have no default.

        Returns
        -------
        Plan
            To be extended by rules before its own: `Plan([..., *plan.rules], variables=plan.variables,
            first_match=True)`.

        Raises
        ------
        ValueError, TypeError
            For an unknown name (the nearest one is suggested), variables that are missing, that the preset does not
            have, or of a bad value.

        Examples
        --------
        >>> import fastinit as fi
        >>> plan = fi.Plan.preset("gpt2", n_layers=12)
        >>> plan.resolve({"h.3.mlp.c_proj.weight": (3072, 768)})["h.3.mlp.c_proj.weight"].pieces[0].law
        Normal(mean=0.0, std=0.00408...)
        """
        return cls(**preset_plan(name, variables))

    @classmethod
    def presets(cls) -> dict[str, str]:
        """Return the name of each preset with a line: what it is, its variables and its source.

        Examples
        --------
        >>> import fastinit as fi
        >>> fi.Plan.presets()["dit"]
        'DiT: Xavier, zero modulation and output; DiT models.py:182-216'
        """
        return preset_lines()

    def to_dict(self) -> dict[str, Any]:
        """Return the plan in types that JSON and TOML have."""
        return written.to_dict(self.rules, self._variables, self._first)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Plan:
        """Return the plan of `to_dict`."""
        return cls(**written.from_dict(record))

    def to_json(self) -> str:
        """Return the plan as one line of JSON, as it stands in a checkpoint's metadata."""
        return written.to_json(self.to_dict())

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """Return the plan of `to_json`."""
        return cls.from_dict(written.from_json(text))

    def save(self, path: Any) -> None:
        """Write the plan to a file that ends with .toml or .json, whole or not at all.

        Examples
        --------
        >>> import fastinit as fi, tempfile, pathlib
        >>> plan = fi.Plan([("**", {"scheme": "normal", "std": "0.02 / n"})], variables={"n": 2})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     plan.save(pathlib.Path(folder) / "plan.toml")
        ...     fi.Plan.load(pathlib.Path(folder) / "plan.toml") == plan
        True
        """
        written.save(self.to_dict(), path)

    @classmethod
    def load(cls, path: Any) -> Plan:
        """Read a plan from a file that `save` wrote, or somebody by hand.

        Parameters
        ----------
        path
            Of a .toml or .json file of at most 16 MiB with `rules`, and perhaps `variables` and `first_match`.

        Raises
        ------
        ValueError, TypeError, OSError
            Naming the file, and what in it cannot be read.
        """
        return cls.from_dict(written.load(path))


def resolver_of(plan: Plan, shapes: Mapping[str, Any]) -> Resolver:
    """Return what answers for a plan's parameters one by one, those without a rule among them."""
    return Resolver(plan._rules, plan._variables, plan._first, read_shapes(shapes))
