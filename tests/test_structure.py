"""Who may import whom, and what stands in one place only: read from the sources."""

import ast
import dataclasses
import re
from functools import cache
from itertools import pairwise
from pathlib import Path

import fastinit_kernels
import pytest

import fastinit
from fastinit.probing.network import Network
from fastinit.probing.settings import ARGUMENTS, Settings

PACKAGES = {"fastinit": Path(fastinit.__file__).parent, "fastinit_kernels": Path(fastinit_kernels.__file__).parent}

# Room of the kernels, or module beside the rooms -> rooms it may import besides itself.
ROOMS = {
    "machine": set(),
    "numeric": {"machine"},
    "fill": {"machine", "numeric"},
    "probe": {"machine", "numeric", "fill"},
    "warmup": {"machine", "numeric", "fill", "probe"},
}

MOST_LINES, MOST_PARAMETERS = 400, 8

# Where Numba's and LLVM's insides are met: their own names in the first two; a lock by its name in the third.
INSIDES = {"machine/internals.py", "machine/cache.py"}
LOCKS = {"machine/forks.py"}

# Room of the API, or module beside the rooms -> rooms that it may not import.
CLOSED = {
    "version": {"words", "files", "activations", "weights", "theory", "probing", "models", "showing", "warmup", "cli"},
    "words": {"files", "activations", "weights", "theory", "probing", "models", "showing", "warmup", "cli"},
    "files": {"activations", "weights", "theory", "probing", "models", "showing", "warmup", "cli"},
    "markup": {"files", "activations", "weights", "theory", "probing", "models", "showing", "warmup", "cli"},
    "reserving": {"activations", "weights", "theory", "probing", "models", "showing", "warmup", "cli"},
    "activations": {"files", "weights", "theory", "probing", "models", "showing", "warmup", "cli"},
    "weights": {"theory", "probing", "models", "showing", "warmup", "cli"},
    "theory": {"weights", "probing", "models", "showing", "warmup", "cli"},
    "warmup": {"activations", "weights", "theory", "probing", "models", "showing", "cli"},
    "probing": {"models", "warmup", "cli"},
    "models": {"probing", "theory", "warmup", "cli"},
    "checkpoint": {"activations", "theory", "probing", "warmup", "cli"},
    "showing": {"cli"},
    "torch": {"theory", "warmup", "cli"},
    **{room: {"theory", "probing", "showing", "warmup", "cli"} for room in ("jax", "keras", "dask", "zarr")},
}


@cache
def sources():
    """Name of each module -> its file."""
    found = {}
    for package, folder in PACKAGES.items():
        for file in sorted(folder.rglob("*.py")):
            parts = file.relative_to(folder).with_suffix("").parts
            found[".".join((package, *parts)).removesuffix(".__init__")] = file
    return found


@cache
def tree(module):
    return ast.parse(sources()[module].read_text())


def of_kernels():
    """(path below the package, module) of each module of the kernels."""
    folder = PACKAGES["fastinit_kernels"]
    return [(file.relative_to(folder).as_posix(), m) for m, file in sources().items() if file.is_relative_to(folder)]


def is_for_types_only(node):
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def nodes(start):
    """Every node below, in functions, too, but for what only a type checker reads."""
    yield start
    children = start.orelse if is_for_types_only(start) else ast.iter_child_nodes(start)
    for child in children:
        yield from nodes(child)


def imported(node, module, known):
    """Yield the modules that an import of `module` names, by their full names."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            is_package = known[module].name == "__init__.py"
            parents = module.split(".")
            above = parents[: len(parents) - node.level + is_package]
            base = ".".join([*above, *filter(None, [node.module])])
        for alias in node.names:
            inner = f"{base}.{alias.name}"
            yield inner if inner in known else base


@cache
def edges():
    """Pairs (module, module of ours that it imports)."""
    known = sources()
    pairs = {
        (module, name) for module in known for node in nodes(tree(module)) for name in imported(node, module, known)
    }
    return {(module, name) for module, name in pairs if name in known}


def circles(pairs):
    """Sets of names each of which leads to all others of its set."""
    reached = {}
    for start in {name for pair in pairs for name in pair}:
        found, todo = set(), [start]
        while todo:
            here = todo.pop()
            new = {b for a, b in pairs if a == here} - found
            found |= new
            todo += new
        reached[start] = found
    return {frozenset(b for b in reached[a] if a in reached[b]) for a in reached if a in reached[a]}


def room(module):
    """The part of a kernel module's name that says its room; "" for the package itself."""
    return (module.split(".") + [""])[1]


def test_circles_are_found():
    assert circles(set(pairwise("abca")) | {("a", "d"), ("e", "a"), ("f", "f")}) == {frozenset("abc"), frozenset("f")}


def test_imports_of_every_kind_are_seen():
    known = {"p": Path("__init__.py"), "p.a": Path("a.py"), "p.b": Path("__init__.py"), "p.b.c": Path("c.py")}
    code = (
        "from typing import TYPE_CHECKING\nimport p.a\nfrom p.b import c as d\n"
        "if TYPE_CHECKING:\n    from . import hidden\nelse:\n    from .c import x\n"
        "def f():\n    with g:\n        from ..a import y\n    from .. import a, z\n    from . import c\n"
    )
    found = [name for node in nodes(ast.parse(code)) for name in imported(node, "p.b", known)]
    assert sorted(found) == sorted(["typing", "p.a", "p.b.c", "p.b.c", "p.a", "p.a", "p", "p.b.c"])
    (node,) = ast.parse("from ..a import y").body
    assert list(imported(node, "p.b.c", known)) == ["p.a"]


def test_the_sources_are_those_that_are_imported():
    assert {
        "fastinit.weights.initialize",
        "fastinit_kernels.machine.jit",
        "fastinit_kernels.probe.run",
    } <= sources().keys()
    assert ("fastinit_kernels.probe.run", "fastinit_kernels.probe.forward") in edges()  # from . import forward
    assert ("fastinit_kernels.fill.dense", "fastinit_kernels.machine.jit") in edges()
    assert any(a.startswith("fastinit.") and b.startswith("fastinit_kernels.") for a, b in edges())


def test_nothing_is_imported_in_a_circle():
    assert not circles(edges())


def test_the_kernels_know_nothing_of_the_names_above():
    assert not {(a, b) for a, b in edges() if a.startswith("fastinit_kernels") and not b.startswith("fastinit_kernels")}


def test_rooms_import_only_what_lies_below_them():
    kernels = {(room(a), room(b)) for a, b in edges() if a.startswith("fastinit_kernels")}
    assert {name for pair in kernels for name in pair} <= ROOMS.keys()
    assert not {(a, b) for a, b in kernels if a != b and b not in ROOMS[a]}


def test_rooms_of_the_api_do_not_look_up():
    ours = {(room(a), room(b)) for a, b in edges() if a.startswith("fastinit.") and b.startswith("fastinit.")}
    assert {a for a, _ in ours} <= CLOSED.keys() | {"cli", "__main__"}
    assert not {(a, b) for a, b in ours if b in CLOSED.get(a, ())}


def test_every_module_of_the_kernels_has_a_room():
    assert {room(module) for _, module in of_kernels()} == {"", *ROOMS}
    assert all(isinstance(node, ast.Expr) for node in tree("fastinit_kernels").body)  # nothing but its docstring


def test_no_module_is_long():
    assert not [module for module, file in sources().items() if len(file.read_text().splitlines()) > MOST_LINES]


FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


def parameters(function):
    a = function.args
    return len(a.posonlyargs + a.args + a.kwonlyargs + [x for x in (a.vararg, a.kwarg) if x])


def is_intrinsic(node):
    return any("intrinsic" in ast.unparse(decorator) for decorator in getattr(node, "decorator_list", ()))


def crowded(node):
    """Yield the functions of too many parameters, but for LLVM's and what stands in them."""
    if is_intrinsic(node):
        return
    if isinstance(node, FUNCTIONS) and parameters(node) > MOST_PARAMETERS:
        yield f"line {node.lineno}: {parameters(node)}"
    for child in ast.iter_child_nodes(node):
        yield from crowded(child)


def test_no_function_of_the_kernels_takes_many_parameters():
    code = "def f(a, b, /, c, d, *e, f, g, h, **i):\n    @intrinsic\n    def g({0}):\n        def h({0}): ...\n"
    many = ", ".join(f"x{i}" for i in range(9))
    assert list(crowded(ast.parse(code.format(many)))) == ["line 1: 9"]
    found = {path: list(crowded(tree(module))) for path, module in of_kernels()}
    assert not {path: functions for path, functions in found.items() if functions}


def is_private(name):
    return any(re.match("_(?!_)", part) for part in name.split("."))


def foreign_private_names(node):
    """Yield the private names of Numba and LLVM that an import names."""
    names = [alias.name for alias in getattr(node, "names", ()) if isinstance(alias, ast.alias)]
    if isinstance(node, ast.ImportFrom):
        names = [f"{node.module}.{name}" for name in names] if not node.level else []
    if isinstance(node, ast.Import | ast.ImportFrom):
        yield from (name for name in names if name.split(".")[0] in ("numba", "llvmlite") and is_private(name))


def private_attributes(node):
    """Yield the private attributes of anything but one's own."""
    if isinstance(node, ast.Attribute) and is_private(node.attr):
        owner = ast.unparse(node.value)
        if owner.split(".")[0] not in ("self", "cls"):
            yield f"{owner}.{node.attr}"


def test_insides_of_numba_stand_behind_two_modules():
    examples = {
        "from numba import _dynfunc": ["numba._dynfunc"],
        "from numba._dispatcher import compute_fingerprint": ["numba._dispatcher.compute_fingerprint"],
        "import llvmlite.binding._x as y": ["llvmlite.binding._x"],
        "from ._numba import f": [],
        "from numba import njit": [],
    }
    for code, names in examples.items():
        assert list(foreign_private_names(ast.parse(code).body[0])) == names
    (attribute,) = [name for node in ast.walk(ast.parse("f(x)._cache = self._y")) for name in private_attributes(node)]
    assert attribute == "f(x)._cache"
    imports, attributes = (
        {path for path, module in of_kernels() for node in ast.walk(tree(module)) for _ in find(node)}
        for find in (foreign_private_names, private_attributes)
    )
    assert imports <= INSIDES
    assert attributes <= INSIDES | LOCKS


def pointer_operations(node):
    """Yield the calls by which LLVM's memory is met, and its typed pointers."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        owner, name = ast.unparse(node.func.value), node.func.attr
        if name in ("as_pointer", "gep") or (name in ("load", "store") and owner.split(".")[-1] == "builder"):
            yield f"{owner}.{name}"
    if isinstance(node, ast.Attribute) and node.attr == "PointerType":
        yield "PointerType"


def test_llvms_pointers_stand_in_one_module():
    code = "builder.load(p)\nself.builder.store(x, p)\nv.load(p)\nb.gep(p)\nt.as_pointer()\nir.PointerType()"
    found = [name for node in ast.walk(ast.parse(code)) for name in pointer_operations(node)]
    assert sorted(found) == ["PointerType", "b.gep", "builder.load", "self.builder.store", "t.as_pointer"]
    where = {path for path, module in of_kernels() for node in ast.walk(tree(module)) for _ in pointer_operations(node)}
    assert where == {"machine/pointers.py"}


@pytest.mark.parametrize("name", ["numba", "llvmlite", "numpy"])
def test_what_is_imported_is_declared(name):
    """A package that the kernels or the API import without a question."""
    declared = (PACKAGES["fastinit"].parent / "pyproject.toml").read_text()
    (line,) = re.findall(r"^dependencies = \[(.*)\]$", declared, re.MULTILINE)
    assert name in {re.split("[<>=~! ]", part.strip(' "'))[0] for part in line.split(",") if '"' in part}


def is_rounded_up_quotient(node):
    """Whether it is -(-a // b)."""
    inner = node.operand if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) else None
    if not (isinstance(inner, ast.BinOp) and isinstance(inner.op, ast.FloorDiv)):
        return False
    return isinstance(inner.left, ast.UnaryOp) and isinstance(inner.left.op, ast.USub)


def modules_with(found):
    return {module for module in sources() for node in ast.walk(tree(module)) if found(node)}


def constant(value):
    return lambda node: (
        isinstance(node, ast.Constant) and isinstance(node.value, float) and f"{node.value:.6g}" == value
    )


def imports_of(name):
    return lambda node: isinstance(node, ast.ImportFrom | ast.Import) and name in ast.unparse(node)


CONSTANTS = "fastinit_kernels.numeric.constants"
ONCE = {
    "the nearest name": (lambda node: getattr(node, "attr", "") == "get_close_matches", "fastinit.words"),
    "the CPU's name": (
        lambda node: isinstance(node, ast.Constant) and "cpuinfo" in str(node.value), "fastinit.showing.machine",
    ),
    "a bar": (imports_of("rich.progress"), "fastinit.showing.progress"),
    "SELU's scale": (constant("1.0507"), CONSTANTS),
    "SELU's alpha": (constant("1.67326"), CONSTANTS),
    "GELU's cubic": (constant("0.044715"), CONSTANTS),
}  # fmt: skip
# Of whatever module: one definition of each name.
DEFINED_ONCE = "compute_type|ceil_div|check_dtype|.*EPSILON|nearest|(.*_)?(root|bisect|brent|newton)"


@pytest.mark.parametrize(("found", "module"), ONCE.values(), ids=ONCE)
def test_what_is_known_once_stands_once(found, module):
    assert modules_with(found) == {module}


def test_quotients_are_rounded_up_by_one_function():
    assert is_rounded_up_quotient(ast.parse("-(-a // b)").body[0].value)
    assert not is_rounded_up_quotient(ast.parse("-(a // -b)").body[0].value)
    assert not modules_with(is_rounded_up_quotient)


def definitions(module):
    """Yield the names that a module defines at its top."""
    for node in tree(module).body:
        if isinstance(node, FUNCTIONS):
            yield node.name
        if isinstance(node, ast.Assign):
            yield from (part.id for part in ast.walk(ast.Tuple(node.targets)) if isinstance(part, ast.Name))


def test_names_for_one_thing_are_defined_once():
    names = [
        name for module in sources() for name in definitions(module) if re.fullmatch(DEFINED_ONCE, name.lstrip("_"))
    ]
    assert len(names) == len({name.lstrip("_") for name in names})
    assert {"compute_type", "ceil_div", "NORM_EPSILON", "root"} <= set(names)


def test_the_probes_arguments_are_spelt_in_one_place_and_in_its_signature():
    """Twenty-two arguments: whoever names most of them as parameters or fields has a list of his own."""
    names = set(ARGUMENTS)
    lists = set()
    for module in sources():
        for node in ast.walk(tree(module)):
            if isinstance(node, FUNCTIONS) and not isinstance(node, ast.Lambda):
                found = {a.arg for a in node.args.args + node.args.kwonlyargs}
            elif isinstance(node, ast.ClassDef):
                found = {
                    x.target.id for x in node.body if isinstance(x, ast.AnnAssign) and isinstance(x.target, ast.Name)
                }
            else:
                continue
            if len(found & names) > len(names) / 2:
                lists.add(f"{module}.{node.name}")
    settings = "fastinit.probing.settings"
    assert lists == {"fastinit.probing.probe.probe", f"{settings}.Arguments", f"{settings}.Settings"}
    assert issubclass(Network, Settings)
    assert issubclass(fastinit.ProbeResult, Settings)
    own = {field.name for field in dataclasses.fields(Settings)}
    for kind in (Network, fastinit.ProbeResult):
        assert not own & set(vars(kind)["__annotations__"])
