"""Trees of parameters: each leaf by its path's name, each device's block where it belongs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ..models import Assignments, Plan
from ..weights.dtypes import check_dtype
from ..weights.regions import check_shape
from ..weights.streams import check_seed
from ..words import attribute, needs, printable, shown
from .placing import check_fits, check_sharding, place

with needs("JAX", extra="jax"):
    import jax
    from jax.sharding import PartitionSpec, Sharding


def init_tree(abstract: Any, shardings: Any, plan: Plan, *, seed: int) -> Any:
    """Return the tree of a model's parameters, drawn by a plan, each on its sharding.

    A leaf is the tensor that its path names: `{"params": {"dense": {"kernel": …}}}` has "params/dense/kernel". Its
    bytes are those of `plan.init({"params/dense/kernel": shape}, seed=seed, dtype=…)`, on one device, on many, and on
    any number of hosts, each of which draws the blocks of its own devices and no others. Nothing is compiled, and a
    block is drawn into the memory that is handed to its device, which on CPUs is the array's own.

    Parameters
    ----------
    abstract
        What has shapes and dtypes: the tree of `jax.eval_shape(model.init, …)` or `nnx.eval_shape`, or of arrays.
    shardings
        A tree of shardings, of the same structure or of what begins it; one for all; or None: a leaf has the one that
        `abstract` gives it, if any, and is on the default device otherwise. A PartitionSpec is over the mesh of
        `jax.set_mesh`.
    plan
        A `fastinit.Plan`. A leaf's dtype is that of `abstract`, whatever its rule says. A rule "skip" returns the leaf
        as it is: keys, counters, running means.
    seed
        0 <= seed < 2^64, of all parameters.

    Returns
    -------
    pytree
        As `abstract`, with a `jax.Array` for each leaf that is drawn.

    Raises
    ------
    ValueError, TypeError
        A leaf without a rule, or with several; a sharding that does not divide its leaf; before anything is drawn.

    Examples
    --------
    >>> import fastinit as fi, jax
    >>> from fastinit.jax import init_tree
    >>> abstract = {"dense": {"kernel": jax.ShapeDtypeStruct((8, 4), "bfloat16")}}
    >>> tree = init_tree(abstract, None, fi.Plan([("**", "he_normal")]), seed=1)
    >>> w = fi.init("he_normal", (8, 4), seed=1, name="dense/kernel", dtype="bfloat16")
    >>> bool((tree["dense"]["kernel"] == w).all())
    True
    """
    if not isinstance(plan, Plan):
        raise TypeError(f"argument 'plan' must be a fastinit.Plan, got {shown(plan)}")
    if seed is None:  # hosts would draw different ones
        raise TypeError("argument 'seed' must be an integer in [0, 2**64), the same on every host, got None")
    number = check_seed(seed)
    names = tree_names(abstract)
    leaves, structure = jax.tree.flatten(abstract)
    found = _assignments(plan, dict(zip(names, leaves, strict=True)), number)
    where = _shardings(shardings, abstract, leaves)
    for name, sharding in zip(names, where, strict=True):
        if sharding is not None and (found[name].is_drawn or found[name].tie):
            check_fits("shardings", sharding, found[name].shape, f" of {printable(name)}")

    def drawn(name: str, leaf: Any, sharding: Sharding | None) -> Any:
        source = found[name].tie or name
        assignment = found[source]
        if not assignment.is_drawn:
            return leaf
        return place(
            assignment.shape,
            assignment.dtype,
            sharding,
            lambda region, out: found.fill(source, seed=number, region=region, out=out),
        )

    return structure.unflatten(map(drawn, names, leaves, where))


def tree_names(tree: Any) -> list[str]:
    """Return the name of each leaf, in the order of `jax.tree.leaves`: its path, joined by "/".

    A box around an array, as Flax has for what it knows of a parameter (`nn.Partitioned`, `nnx.Param`), adds nothing to
    its name.

    Parameters
    ----------
    tree
        Any pytree.

    Returns
    -------
    list of str

    Examples
    --------
    >>> from fastinit.jax import tree_names
    >>> tree_names({"params": {"dense": {"bias": 0, "kernel": 0}, "blocks": [1, 2]}})
    ['params/blocks/0', 'params/blocks/1', 'params/dense/bias', 'params/dense/kernel']
    """
    names = [*_names(tree)]
    if len({*names}) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"argument 'abstract' must have a path of its own for each leaf, got {shown(twice)} twice")
    return names


def _names(tree: Any) -> Iterator[str]:
    for path, node in jax.tree_util.tree_flatten_with_path(tree, is_leaf=_is_box)[0]:
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        inner = jax.tree_util.tree_flatten_with_path(node)[0] if _is_box(node) else [((), node)]
        for steps, _ in inner:
            own = jax.tree_util.keystr(steps, simple=True, separator="/")
            yield name if len(inner) == 1 else f"{name}/{own}"


def _is_box(node: Any) -> bool:
    """Say whether a node is one of Flax's boxes, without loading Flax."""
    names = {"AxisMetadata", "Variable", "VariableState"}
    return any(c.__name__ in names and c.__module__.startswith("flax.") for c in type(node).__mro__)


def _assignments(plan: Plan, leaves: dict[str, Any], seed: int) -> Assignments:
    """Return what each leaf is assigned, in its own dtype."""
    shapes = {name: check_shape(tuple(attribute(leaf, "shape") or ())) for name, leaf in leaves.items()}
    found = plan.resolve(shapes)
    for name, assignment in found.items():
        if not (assignment.is_drawn or assignment.tie):
            continue
        try:
            found[name] = replace(assignment, dtype=check_dtype(attribute(leaves[name], "dtype")))
        except (TypeError, ValueError) as error:
            raise type(error)(f'{error} (leaf {printable(name)}, rule {assignment.pattern}: "skip"?)') from None
    for name, assignment in found.items():
        if assignment.tie and found[assignment.tie].dtype != assignment.dtype:
            raise ValueError(
                f"argument 'abstract' must have one dtype for tied leaves, got {assignment.dtype} for "
                f"{printable(name)} and {found[assignment.tie].dtype} for {printable(assignment.tie)}"
            )
    found.check(seed)
    return found


def _shardings(shardings: Any, abstract: Any, leaves: list[Any]) -> list[Sharding | None]:
    if shardings is None:
        return [check_sharding("abstract", attribute(leaf, "sharding")) for leaf in leaves]
    try:
        spread = jax.tree.broadcast(shardings, abstract, is_leaf=_is_place)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"argument 'shardings' must be a sharding, or a tree of them that begins 'abstract', got "
            f"{shown(shardings)}: {shown(str(error))}"
        ) from None
    return [check_sharding("shardings", place) for place in jax.tree.leaves(spread, is_leaf=_is_place)]


def _is_place(node: Any) -> bool:
    return node is None or isinstance(node, PartitionSpec | Sharding)
