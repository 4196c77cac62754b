"""What CONTRIBUTING.md says is all there is to touch: applied to a copy it works, and each step left out is missed."""

import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import fastinit_kernels
import pytest

import fastinit
from fastinit.weights.registry import scheme
from fastinit.words import apart, tied

HERE = Path(__file__).parent
PACKAGES = [Path(package.__file__).parent for package in (fastinit, fastinit_kernels)]


def lists():
    """Name of each list -> its patches: (file, the lines with their marks), in order."""
    text = (HERE.parent / "CONTRIBUTING.md").read_text()
    found = {}
    for part in text.partition("## Adding one")[2].partition("\n## ")[0].split("\n### ")[1:]:
        blocks = re.findall(r"^```diff\n(.*?)^```", part, re.MULTILINE | re.DOTALL)
        pieces = [piece for block in blocks for piece in re.split(r"^# ", block, flags=re.MULTILINE)[1:]]
        found[part.partition("\n")[0]] = [(piece.partition("\n")[0], piece.splitlines()[1:]) for piece in pieces]
    return found


LISTS = lists()
NUMBERS = count()


def apply(folder, file, lines):
    """Put the new lines beside those that show where, or else at the end."""
    path = folder / file
    text = path.read_text()
    old = "".join(line[1:] + "\n" for line in lines if not line.startswith("+"))
    new = "".join(line[1:] + "\n" for line in lines)
    assert text.count(old) == 1 or not old, f"{file} has no such place:\n{old}"
    path.write_text(text.replace(old, new) if old else text + new)


def changed(tmp_path, patches):
    """A copy of both packages with these patches."""
    folder = tmp_path / str(next(NUMBERS))
    for package in PACKAGES:
        shutil.copytree(package, folder / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    for patch in patches:
        apply(folder, *patch)
    return folder


def run(folder, code, env):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code, str(HERE), str(folder)],
        env=env | {"PYTHONPATH": str(folder)}, cwd=folder, capture_output=True, text=True, timeout=500,
    )  # fmt: skip


@pytest.fixture
def env():
    return os.environ | {"FASTINIT_QUIET": "1"}


WORKS = """
import sys
sys.path.append(sys.argv[1])
import numpy as np
import twin
import fastinit as fi
import fastinit_kernels
assert fi.__file__.startswith(sys.argv[2]) and fastinit_kernels.__file__.startswith(sys.argv[2])

# A law: its values are those of the formula, of any type and region; u is rounded once before ln.
drawn = fi.init("exponential", (500,), std=0.5, seed=3, name="w")
u = twin.unit(np.arange(500), np.float32, 3, "w")
np.testing.assert_allclose(drawn, -0.5 * np.log(u), rtol=2**-21, atol=2**-24)
double = fi.init("exponential", (500,), std=0.5, seed=3, name="w", dtype="float64")
u = twin.unit(np.arange(500), np.float64, 3, "w")
np.testing.assert_allclose(double, (-0.5 * np.log(u)).astype(float), rtol=2**-50, atol=2**-53)
half = fi.init("exponential", (500,), std=0.5, seed=3, name="w", dtype="float16", region=slice(7, 300))
np.testing.assert_array_equal(half, drawn[7:300].astype(np.float16))

# All in one probe: a law, an activation, a statistic.
sizes = dict(depth=2, width=64, batch=64, backward=False, seed=5)
result = fi.probe(scheme="exponential", std=0.1, activation="soft_shrink", **sizes)
a = fi.normal((64, 64), seed=5, name="input").astype(float)
for layer in range(2):
    w = fi.init("exponential", (64, 64), std=0.1, seed=5, name=f"layer.{layer}.weight").astype(float)
    z = a @ w
    a = z - np.clip(z, -0.5, 0.5)
    near = {"rtol": 1e-5, "atol": 1e-6}
    np.testing.assert_allclose(result.weight_mean[layer], w.mean(), **near)
    np.testing.assert_allclose(result.weight_std[layer], w.std(), **near)
    np.testing.assert_allclose(result.mean[layer], a.mean(), **near)
    np.testing.assert_allclose(result.std[layer], a.std(), **near)
    np.testing.assert_allclose(result.chi[layer], (abs(z) > 0.5).mean() * 64 * w.var(), rtol=1e-3)
    assert abs(result.negative[layer] - (z < 0).mean()) <= (abs(z) < 1e-5).mean()
assert 0.2 < result.negative[0] < 0.8
assert "z < 0" in str(result.table())
result.save("result.json")
loaded = fi.ProbeResult.load("result.json")
assert repr(loaded.to_dict()) == repr(result.to_dict()) and loaded.negative.tolist() == result.negative.tolist()

# A scheme: its word in a sweep, whose store says it all again.
grid = dict(scheme=["exponential", "deep"], activation=["soft_shrink", "relu"], **sizes)
swept = fi.sweep(**grid, store="sweep.jsonl")
assert [r.to_dict() for r in fi.sweep(**grid, store="sweep.jsonl").results] == [r.to_dict() for r in swept.results]
one, four = fi.sweep(scheme="deep", layers=[1, 4], **sizes).results
np.testing.assert_allclose(one.weight_std, 2 * four.weight_std, rtol=1e-6)
assert four.scheme == "stack_scaled" and four.params == {"layers": 4}

# And where nobody had to touch anything.
z = np.random.default_rng(1).standard_normal(10**6)
second = np.mean((z - np.clip(z, -0.5, 0.5)) ** 2)
assert abs(fi.gain("soft_shrink") / second**-0.5 - 1) < 5e-3
assert fi.schemes()["deep"] == "stack_scaled"
print("works")
"""


@pytest.mark.ci
def test_all_four_lists_work(tmp_path, env):
    done = run(changed(tmp_path, [patch for patches in LISTS.values() for patch in patches]), WORKS, env)
    assert done.stdout == "works\n", done.stderr


USES = {
    "A law": "fi.init('exponential', (3,))",
    "An activation": "fi.probe(depth=1, width=4, batch=4, activation='soft_shrink')",
    "A statistic of a layer": "fi.probe(depth=1, width=4, batch=4, backward=False).table()",
    "A scheme": "fi.init('stack_scaled', (3, 3), layers=4)",
}
# What is said when a patch of a list is left out, in their order.
MISSED = {
    "A law": [
        "cannot import name 'exponential_f32' from 'fastinit_kernels.numeric.laws'",
        "name 'exponential_f32' is not defined",
        "law 'exponential' has no kernel: fastinit_kernels/fill/draw.py",
        "cannot import name 'Exponential' from 'fastinit.weights.laws'",
        "name 'Exponential' is not defined",
        "argument 'scheme' must be one of",
    ],
    "An activation": [
        "argument 'activation' must be one of",
        "activation 'soft_shrink' has no kernel: fastinit_kernels/numeric/activations.py",
    ],
    "A statistic of a layer": [
        "column 'negative' has no heading: fastinit/probing/figures.py",
        "column 'negative' has no place: fastinit/probing/figures.py",
        "field 'negative' has no field: fastinit/probing/result.py",
        "figure 'negative' has no formula: fastinit_kernels/probe/figures.py",
        "sum 'negative' must stand in probe/records.py, SUMS, and be taken in probe/columns.py",
        "sum 'negative' must stand in probe/records.py, SUMS, and be taken in probe/columns.py",
    ],
    "A scheme": ["argument 'scheme' must be one of"],
}
# A list from its other end: what was written without a use of it by name.
OTHERS = [
    ("A law", [3, 4, 5], "fi.init('normal', (3,))", "law 'exponential' has no class: fastinit/weights/laws.py"),
    ("An activation", [0], "fi.probe(depth=1, width=4, batch=4)",
     "activation 'soft_shrink' has no row: fastinit/activations/table.py"),
    ("A statistic of a layer", [0, 1], "1", "field 'negative' has no rule: fastinit/probing/figures.py"),
    ("A statistic of a layer", [0, 1, 2], "fi.probe(depth=1, width=4, batch=4)",
     "figure 'negative' has no row: fastinit/probing/figures.py"),
]  # fmt: skip


@pytest.mark.ci
def test_each_step_left_out_is_missed_by_name(tmp_path, env):
    assert {name: len(patches) for name, patches in LISTS.items()} == {name: len(m) for name, m in MISSED.items()}
    cases = [(name, [i], USES[name], words) for name, missed in MISSED.items() for i, words in enumerate(missed)]
    cases += OTHERS

    def said(case):
        name, left_out, use, _ = case
        patches = [patch for i, patch in enumerate(LISTS[name]) if i not in left_out]
        env_of_one = env | {"FASTINIT_COMPILE_PROCESSES": "0"}
        return run(changed(tmp_path, patches), f"import fastinit as fi\n{use}", env_of_one)

    with ThreadPoolExecutor(2) as pool:
        for (name, left_out, _, words), done in zip(cases, pool.map(said, cases), strict=True):
            assert done.returncode == 1, (name, left_out)
            assert words in done.stderr, (name, left_out, done.stderr[-2000:])


def test_tables_that_do_not_agree_are_not_loaded():
    tied("law", {"class: a": ["x", "y"], "kernel: b": ("y", "x")})
    with pytest.raises(ImportError, match=r"^law 'z' has no class: a$"):
        tied("law", {"class: a": ["x"], "kernel: b": ["x", "z"]})
    with pytest.raises(ImportError, match=r"^law 'x' has no kernel: b$"):
        tied("law", {"class: a": ["x"], "kernel: b": []})


def test_a_parameter_that_nobody_could_give_is_not_loaded():
    """`probe(depth=3)` would be the probe's, and the scheme would go without."""
    apart(["std"], "probe", ["depth"])
    with pytest.raises(ImportError, match=r"^parameter 'depth' has the name of an argument of probe$"):
        apart(["std", "depth"], "probe", ["depth", "width"])


def test_a_scheme_does_not_take_anothers_name():
    with pytest.raises(ValueError, match="'msra' is registered already, as 'he_normal'"):
        scheme("unheard", "0", "msra")(lambda: None)
    assert "unheard" not in fastinit.schemes()


def drawings():
    text = (HERE.parent / "CONTRIBUTING.md").read_text().partition("## The rooms")[2].partition("\n## ")[0]
    return re.findall(r"^```\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def test_the_rooms_and_the_walks_are_those_of_the_sources():
    rooms, *walks = drawings()
    folders = [folder for package in PACKAGES for folder in package.iterdir() if (folder / "__init__.py").exists()]
    drawn = {name for pair in re.findall(r"^ +(\w+)/|(?<= )(\w+)/(?= )", rooms, re.MULTILINE) for name in pair if name}
    assert drawn == {folder.name for folder in folders}
    modules = {}
    for package in PACKAGES:
        for file in package.rglob("*.py"):
            modules.setdefault(file.stem, []).append(file.read_text())
    assert len(walks) == 3
    for walk in walks:
        assert max(map(len, walk.splitlines())) <= 100
        named = re.findall(r"\b(\w+)\.([A-Za-z_]\w+)", walk)
        assert len(named) > 10
        for module, name in named:
            definition = rf"^( {{4}})?((def|class) )?{name}\b|^from .* import .*\b{name}\b"
            found = [re.search(definition, text, re.MULTILINE) for text in modules.get(module, ())]
            assert not found or any(found) or name in modules, f"{module}.{name}"
