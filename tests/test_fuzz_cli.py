"""Odd words for every command and option: status 0 or 2, one line of error, and nothing that a terminal obeys."""

# ruff: noqa: E501 (a command is a row, however long)

import contextlib
import io
import json
import signal
import warnings
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from odd import lane
from optional import library

import fastinit as fi
from fastinit import cli
from fastinit.showing import comparison, demo

library("typer")

VALUES = [
    "1",
    "2,3",
    "1:3",
    "0.5:1:0.5",
    "4,3,2",
    "4,2;3,2",
    "true,false",
    "",
    ",",
    "1:",
    "2,2",
    "x",
    "nan",
    "-1",
    "tanh",
    "9" * 5000,
]
# For each option a few words that it may have; None: it stands alone.
NUMBER = ["0", "1", "2.5", "-1", "1e-3", "nan", "inf", "1e400", "9" * 5000, "0x1", "1_0", "٣"]
SIZE = ["1", "3", "0", "-1", "2.5", "18446744073709551616", "576460752303423488", "9" * 5000, "x"]
# No shape that a file could be written of until the disk is full.
SHAPE = [
    "3",
    "3,4",
    "2x3x4",
    "",
    ",",
    "0,5",
    "-1",
    "3,a",
    "9" * 5000,
    "1," * 65,
    "9223372036854775808,0",
]
DTYPE = ["float32", "float64", "bfloat16", "float16", "float8_e5m2", "complex64", "int8", ",", "f4,", ">f4"]
PARAM = ["std=0.1", "mean=nan", "std=1e400", f"std={'9' * 5000}", "std", "=", "std=", "a'b=1", "mode=fan_out", "\x1b=1", "value=-0.0",
         "along=0", "along=9", "coefficients=1",
         "truncated=true", "nonlinearity=\x1b[2J", "nonzeros=2", "sparsity=0.5", "layers=12", "layers=0", "per=matrix", "per=row"]  # fmt: skip
FILE = [
    "w.npy",
    "w.json",
    "w.svg",
    "",
    ".",
    "missing/w.npy",
    "a\nb.npy",
    "\x1b[2J.npy",
    "é.npy",
    "\udcff.npy",
    "a" * 300 + ".npy",
    "\0.npy",
]
ODD = [
    "",
    " ",
    "-",
    "--",
    "--help",
    "\x1b[2J",
    "a\nb",
    "[red]",
    "é",
    "\udcff",
    "\u202e",
    "x" * 5000,
    "0",
    "-1",
    "@f",
    "%s",
    "{0}",
    "\0",
]
SOURCE = ["shapes.json", "checkpoint", "plan.toml", "w.npy", "", ".", "missing", "\0", "\udcff", "a" * 300]
FOLDER = [
    "model",
    "one.safetensors",
    "checkpoint",
    "shapes.json",
    "",
    "missing/model",
    "\0",
    "\udcff",
    "é",
    "\x1b[2J",
    "a" * 300,
]
PLANS = ["plan.toml", "plan.json", "shapes.json", "", "missing.toml", "llama", "\0.toml", "\x1b.json"]
VARIABLE = ["std=0.1", "std=nan", f"std={'9' * 5000}", "n=2", "n", "=", "sqrt=1", "shape=2", "std=1e400", "std=exit()"]
SEED = {"--seed": ["0", "18446744073709551615", "18446744073709551616", "-1", "1.5"]}
COMMANDS = {
    "init": {
        "": ["he_normal", "normal", "sparse", "constant", "normalized", "depth_scaled", "he_norml", "orthogonal", "linspace", "polynomial"], "--shape": SHAPE, "--output": FILE, "-o": FILE,
        "--dtype": DTYPE, "--name": ODD, "--layout": ["io", "oi", "hwio", "", "\x1b"], "--groups": SIZE, "--stride": SHAPE,
        "--transposed": None, "--force": None, "--fan-in": NUMBER, "--fan-out": NUMBER, "--param": PARAM, "-p": PARAM, **SEED,
    },
    "probe": {
        "--scheme": ["he_normal", "normal", "sparse", "nonsense"], "--activation": ["relu", "tanh", "\x1b[2J"], "--depth": SIZE,
        "--width": SIZE, "--widths": SHAPE, "--batch": SIZE, "--bias": NUMBER, "--sigma-w": NUMBER, "--sigma-b": NUMBER,
        "--residual": None, "--no-residual": None, "--branch-scale": [*NUMBER, "1/sqrt(depth)"], "--normalize": ["rms", "layer", "batch"],
        "--conv": SIZE, "--image": SIZE, "--input-correlation": NUMBER, "--backward": None, "--no-backward": None, "--bins": SIZE,
        "--dtype": DTYPE, "--param": PARAM, "-p": PARAM, "--layers": SIZE, "--range": VALUES,
        "--plot": ["p.png", "p.nonsense"], "--save": FILE, "--force": None, "--csv": None, **SEED,
    },
    "sweep": {
        **dict.fromkeys(
            ("--scheme", "--activation", "--depth", "--width", "--widths", "--batch", "--bias", "--sigma-w", "--sigma-b",
             "--residual", "--branch-scale", "--normalize", "--conv", "--image", "--input-correlation", "--backward",
             "--bins", "--range", "--dtype", "--seed"), VALUES), "--param": PARAM, "-p": PARAM, "--figure": ["std", "chi", ""], "--x": ["depth", "bins", "x"], "--y": ["depth", "--sigma-w", ""],
        "--store": ["s.jsonl", "w.npy", "\0"], "--executor": ["threads", "x", ""], "--on-error": ["raise", "stop", "x"],
        "--save": FILE, "--plot": ["p.png", "p.nonsense"], "--force": None, "--csv": None,
    },
    "recommend": {
        "--candidates": ["he_normal", "he_normal,normal", "", ",", "x"], "--activation": ["relu", "tanh", "\x1b[2J"],
        "--depth": SIZE, "--width": SIZE, "--widths": SHAPE, "--batch": SIZE, "--bias": NUMBER, "--sigma-b": NUMBER,
        "--residual": None, "--no-residual": None, "--branch-scale": NUMBER, "--normalize": ["rms", "layer", "batch"],
        "--conv": SIZE, "--image": SIZE, "--input-correlation": NUMBER, "--bins": SIZE, "--range": VALUES, "--dtype": DTYPE,
        "--param": PARAM, "-p": PARAM, "--seed": VALUES, "--csv": None,
    },
    "theory": {
        "": ["tanh", "relu", "leaky_relu", "tnh"], "--sigma-w": NUMBER, "--sigma-b": NUMBER, "--depth": SIZE, "--q0": NUMBER,
        "--c0": NUMBER, "--param": NUMBER, "--csv": None,
    },
    "compare": {
        "--law": ["normal", "uniform", "x"], "--dtype": DTYPE, "--elements": SIZE, "--repeats": SIZE,
        "--plot": ["p.png", "p.nonsense"], "--save": FILE, "--force": None, "--csv": None, **SEED,
    },
    "report": {"": SOURCE, "--output": FILE, "-o": FILE, "--force": None},
    "cache": {"--clear": None, "--warm": None, "--processes": ["0", "-3", "x", "\x1b", "1e3"]},
    "demo": {"--output": ["pictures", "w.npy", "\0"], "-o": ["pictures"], "--pictures": None, "--no-pictures": None, "--force": None, "--csv": None, **SEED},
    "checkpoint": {
        "": SOURCE, "--output": FOLDER, "-o": FOLDER, "--plan": PLANS, "--dtype": DTYPE, "--max-shard-size": ["5GB", "20", "1kB", "0GB", "x"],
        "--hosts": ["0,1", "1,2", "2,2", "-1,1", "0", "x", "9" * 5000], "--store-tied": None, "--overwrite": None, "--force": None,
        "--param": VARIABLE, "-p": VARIABLE, **SEED,
    },
    "explain": {"--csv": None, "": SOURCE, "--plan": PLANS, "--dtype": DTYPE, "--param": VARIABLE, "-p": VARIABLE},
    "verify": {
        "": FOLDER, "--plan": PLANS, "--shapes": SOURCE, "--dtype": DTYPE, "--param": VARIABLE, "-p": VARIABLE, **SEED,
    },
    "check": {
        "": FOLDER, "--plan": PLANS, "--shapes": SOURCE, "--dtype": DTYPE, "--param": VARIABLE, "-p": VARIABLE,
        "--level": NUMBER, "--rows": SIZE, "--csv": None, **SEED,
    },
    "schemes": {"": ["xavier", "", "he_norml"], "--csv": None}, "info": {}, "warmup": {"--processes": ["0", "-3", "x", "\x1b", "1e3"]},
}  # fmt: skip
for _options in COMMANDS.values():
    _options |= dict.fromkeys(("--json", "--quiet", "-q"))
# What the command does without: so that most words are of small, whole commands.
USUAL = {
    "init": ["normal", "--shape", "3,4", "--output", "w.npy"],
    "probe": ["--depth", "2", "--width", "4", "--batch", "4"],
    "sweep": ["--depth", "2", "--width", "4", "--batch", "4"],
    "recommend": ["--depth", "2", "--width", "4", "--batch", "4", "--candidates", "he_normal", "--seed", "0"],
    "theory": ["tanh"],
    "compare": ["--elements", "4", "--repeats", "1"],
    "report": ["shapes.json"],
    "cache": ["--processes", "0"],  # it would remove the kernels that everybody uses
    "demo": ["--no-pictures"],
    "checkpoint": ["shapes.json", "-o", "model", "--plan", "plan.toml"],
    "explain": ["shapes.json", "--plan", "plan.toml"],
    "verify": ["checkpoint"],
    "check": ["checkpoint"],
    "warmup": ["--processes", "0"],  # compiling everything takes minutes
}


# What stands without an option before it.
POSITIONAL = {"init": "scheme", "checkpoint": "source", "explain": "source", "verify": "path", "check": "path",
              "theory": "activation", "report": "sources", "schemes": "part"}  # fmt: skip
# Statuses other than 0 of a command that has done what it was asked for.
ANSWERS = {"verify": {1}, "check": {1}, "sweep": {1}}


# Examples of the short and of the long lane.
LANES = {
    "init": (20, 400),
    "probe": (15, 400),
    "demo": (2, 12),
    "schemes": (5, 40),
    "info": (1, 3),
    "checkpoint": (20, 400),
    "explain": (15, 300),
    "verify": (15, 300),
    "check": (15, 300),
    "warmup": (6, 20),
    "sweep": (15, 300),
    "recommend": (10, 200),
    "theory": (15, 300),
    "compare": (6, 60),
    "report": (10, 100),
    "cache": (6, 20),
}


@st.composite
def words(draw, command):
    """Return a command line: the usual words, options behind them that override those, now and then a word of no sense."""
    options = COMMANDS[command]
    line = [command, *USUAL.get(command, ())]
    for option in draw(st.lists(st.sampled_from([*options, "odd"] if options else ["odd"]), max_size=4)):
        if option == "odd":
            line.append(draw(st.sampled_from(ODD)))
        elif options[option] is None:
            line.append(option)
        else:
            word = draw(st.sampled_from(options[option] if draw(st.integers(0, 3)) else ODD))
            line += [option, word] if option else [word]
    return line


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory):
    """A folder of their own for the files, no pictures of full size, and the process's own signals afterwards."""
    small = tuple(demo.Experiment(e.label, e.activation, 2, 4, e.arguments) for e in demo.EXPERIMENTS[:6])
    with contextlib.chdir(tmp_path_factory.mktemp("fuzz")), pytest.MonkeyPatch.context() as patch:
        plan = fi.Plan([("**", {"scheme": "normal", "std": "std / n"})], variables={"std": 0.02, "n": 1})
        for name in ("plan.toml", "plan.json"):
            plan.save(name)
        Path("shapes.json").write_text(json.dumps({"w": [3, 4], "layers.0.v": {"shape": [5], "role": "Linear.bias"}}))
        fi.checkpoint.write("checkpoint", "shapes.json", plan, seed=3)
        patch.setattr(demo, "EXPERIMENTS", small)
        for name in [*comparison.LIBRARIES][2:]:  # which take seconds to load
            patch.delitem(comparison.LIBRARIES, name)
        patch.setattr(demo, "NETWORKS", ((2, 4),))
        patch.setattr(demo, "BATCH", 4)
        patch.setattr(signal, "signal", lambda *_: None)
        patch.setenv("COLUMNS", "100")
        yield


def obeyed(line):
    return {c for c in line if not (c.isprintable() or c == "\n")}


def run(line):
    out, errors = (io.TextIOWrapper(io.BytesIO(), "utf-8", "backslashreplace", write_through=True) for _ in range(2))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors), warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(SystemExit) as left:
            cli.main(line)
    return left.value.code, *(stream.buffer.getvalue().decode() for stream in (out, errors))


@pytest.mark.parametrize("command", COMMANDS)
def test_odd_words_are_answered_in_one_line(command):
    @lane(*LANES[command])
    @given(words(command))
    def fuzz(line):
        status, printed, errors = run(line)
        assert not obeyed(printed + errors), (printed, errors)
        assert "Traceback" not in errors
        if status in {0} | ANSWERS.get(command, set()):
            assert not errors.startswith("error: ")  # notes
        else:
            assert (status, errors.count("\n")) == (2, 1), (status, errors)
            assert errors.startswith("error: ")
            assert errors.strip() != "error:"
            assert len(errors) < 1200

    fuzz()


@lane(15, 300)
@given(st.lists(st.sampled_from([*ODD, *COMMANDS, "--version", "-h"]), max_size=3))
def test_any_words_are_answered(line):
    slow = {"info", "demo", "cache", "warmup", "compare", "recommend"}
    line = [word for word in line if word not in slow]
    status, printed, errors = run(line)
    assert not obeyed(printed + errors), (printed, errors)
    assert status in (0, 2)
    assert "Traceback" not in errors
    assert errors.count("\n") <= 1 or not line, errors


def test_every_option_of_every_command_has_words():
    """The lists above are those of the commands themselves."""
    from typer.main import get_command

    from fastinit.showing.commands import app

    known = {
        name: {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        for name, command in get_command(app).commands.items()
    }
    assert known.keys() == COMMANDS.keys()
    for name, options in known.items():
        given_words = {option for option in COMMANDS[name] if option} | (
            {POSITIONAL[name]} if "" in COMMANDS[name] else set()
        )
        assert options - {"--help", "-h"} == given_words


ASCII = """
import json, sys
from fastinit import cli
from fastinit.showing import comparison, demo
demo.EXPERIMENTS = tuple(demo.Experiment(e.label, e.activation, 2, 4, e.arguments) for e in demo.EXPERIMENTS[:6])
for line in json.loads(sys.argv[1]):
    status = cli.run(line)
    print(status, file=sys.stderr, flush=True)
"""


def test_every_command_prints_where_there_is_but_ascii(python, tmp_path):
    lines = [[command, "--help"] for command in COMMANDS] + [
        ["schemes"], ["info"], ["demo", "--no-pictures"], ["probe", "--depth", "2", "--width", "4", "--batch", "4"],
        ["init", "normal", "--shape", "3", "-o", str(tmp_path / "é.npy")], ["init", "é", "--shape", "3", "-o", "w.npy"],
        ["probe", "--activation", "²"], ["é"],
    ]  # fmt: skip
    code = ASCII.replace(
        "print(status, file=sys.stderr, flush=True)", "assert status == (2 if line[-1] in ('w.npy', '²', 'é') else 0)"
    )
    printed = python(code, json.dumps(lines), options=("-X", "dev", "-W", "error"), PYTHONIOENCODING="ascii")
    assert printed.isascii()
    assert "N(mean, std^2)" in printed
