"""The command line as a user meets it: every command's help, its forms of output, grids, and what is refused early."""

import csv
import io
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from optional import library

import fastinit as fi
from fastinit import cli

library("typer")
SMALL = ["--depth", "3", "--width", "8", "--batch", "8"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(capsys):
    def call(*words):
        capsys.readouterr()
        status = cli.run([*map(str, words)])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return call


def commands():
    from typer.main import get_command

    from fastinit.showing.commands import app

    return get_command(app).commands


def test_the_help_fits_a_screen_and_names_every_command(run):
    status, out, _ = run("--help")
    lines = out.splitlines()
    assert status == 0
    assert len(lines) < 24
    assert max(map(len, lines)) <= 80
    assert sorted(line.split()[0] for line in lines if line.startswith("  ")) == sorted(commands())
    assert [line for line in lines if line in ("Networks", "Weights", "Models", "This machine")] == [
        "Networks", "Weights", "Models", "This machine",
    ]  # fmt: skip


@pytest.mark.parametrize("name", sorted({
    "demo", "probe", "sweep", "recommend", "theory", "init", "checkpoint", "explain", "verify", "check", "schemes",
    "compare", "report", "warmup", "info", "cache",
}))  # fmt: skip
def test_every_command_has_an_example_a_form_for_programs_and_words_for_each_option(run, name):
    status, out, _ = run(name, "--help")
    assert status == 0
    assert "Example: " in out
    assert f"fastinit {name}" in out
    command = commands()[name]
    options = {option for parameter in command.params for option in parameter.opts}
    assert {"--json", "--quiet"} <= options
    assert not [parameter.name for parameter in command.params if not parameter.help]


def test_the_probes_options_are_its_arguments():
    from fastinit.probing.settings import ARGUMENTS
    from fastinit.showing.commands.arguments import UNTYPED, WORDS

    assert {*WORDS} == {*ARGUMENTS} - {*UNTYPED}
    for name in ("probe", "sweep"):
        assert {*ARGUMENTS} - {*UNTYPED} <= {parameter.name for parameter in commands()[name].params}


def test_python_runs_the_package_and_shells_complete():
    env = {**os.environ, "_FASTINIT_COMPLETE": "complete_bash", "COMP_WORDS": "fastinit pro", "COMP_CWORD": "1"}
    words = [sys.executable, "-m", "fastinit"]
    assert (
        subprocess.run([*words, "--version"], capture_output=True, text=True).stdout == f"fastinit {fi.__version__}\n"
    )
    assert subprocess.run(words, capture_output=True, text=True, env=env).stdout.split() == ["probe"]


def test_json_and_csv_are_all_that_is_printed(run):
    expected = fi.probe(depth=3, width=8, batch=8)
    status, out, err = run("probe", *SMALL, "--json")
    assert (status, err) == (0, "")
    assert json.loads(out) == expected.to_dict() | {"seconds": json.loads(out)["seconds"]}
    status, out, _ = run("probe", *SMALL, "--csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [float(row["std"]) for row in rows] == expected.std.tolist()
    assert run("probe", *SMALL, "--csv", "--json")[::2] == (2, "error: --csv must stand without --json, got both\n")
    for words in (["schemes"], ["theory", "relu"], ["recommend", *SMALL, "--candidates", "he_normal", "--seed", "0"]):
        assert json.loads(run(*words, "--json")[1])
        assert len(list(csv.reader(io.StringIO(run(*words, "--csv")[1])))) > 1
    for words in (["info"], ["cache"]):
        assert json.loads(run(*words, "--json")[1])


def test_what_is_saved_is_what_its_name_says(run, folder):
    status, _, err = run("probe", *SMALL, "--save", "p.csv")
    assert (status, err) == (0, "p.csv\n")
    assert (folder / "p.csv").read_text() == run("probe", *SMALL, "--csv")[1]
    assert run("probe", *SMALL, "--save", "p.txt")[::2] == (2, "error: --save must end in .json or .csv, got 'p.txt'\n")
    assert run("probe", *SMALL, "--save", "q.json", "--quiet")[2] == ""


def test_nothing_is_replaced_unasked(run, folder):
    for words, name in (
        (["init", "normal", "--shape", "3", "-o"], "w.npy"),
        (["probe", *SMALL, "--save"], "p.json"),
        (["sweep", *SMALL, "--save"], "s.csv"),
        (["demo", "-o"], "signal-5x100.png"),
        (["compare", "--elements", "10", "--save"], "c.csv"),
        (["report", "w.npy", "-o"], "r.html"),
    ):
        (folder / name).write_bytes(b"old")
        status, out, err = run(*words, "." if words[0] == "demo" else name)
        assert (status, out) == (2, "")
        assert err == f"error: [Errno 17] File exists (--force replaces it): '{name}'\n"
        assert (folder / name).read_bytes() == b"old"
    assert run("init", "normal", "--shape", "3", "-o", "w.npy", "--force")[0] == 0
    np.testing.assert_array_equal(np.load("w.npy"), fi.init("normal", 3, seed=0))


REFUSED = [
    (["probe", "--plot", "p.nonsense"], "--plot must end in .png or .svg or .pdf, got 'p.nonsense'"),
    (["probe", "--plot", "missing/p.png"], "[Errno 2] No such file or directory: 'missing/p.png'"),
    (["probe", "--save", "closed/p.json"], "[Errno 13] Permission denied: 'closed/p.json'"),
    (["probe", "--branch-scale", "2"], "--branch-scale must go with --residual, got 2 without"),
    (["probe", "-p", "sdt=1"], "scheme and activation have no -p sdt; did you mean 'std'?"),
    (["sweep", "--depth", "1,0"], "--depth must be an integer >= 1, got 0"),
    (["sweep", "--depth", "1:x"], "--depth must be values and ranges START:STOP[:STEP], got '1:x'"),
    (["sweep", "--depth", "1:9:0"], "--depth must be values and ranges START:STOP[:STEP], got '1:9:0'"),
    (["sweep", "--executor", "t"], "--executor must be threads, processes or dask://HOST:PORT, got 't'"),
    (["sweep", "--depth", "2,3", "--plot", "s.png"], "--y must name an argument with several numbers, got none in"),
    (
        ["sweep", "--depth", "2,3", "--width", "2,3", "--plot", "s.png", "--x", "dept"],
        "--x must be one of depth, width",
    ),
    (["sweep", "--figure", "sdt"], "--figure must be one of"),
    (["theory", "tnh"], "ACTIVATION must be one of"),
    (["theory", "tanh", "--depth", "3", "--q0", "-1"], "--q0 must be a finite number >= 0, got -1.0"),
    (["compare", "--law", "cauchy"], "--law must be one of normal, truncated_normal, uniform, got 'cauchy'"),
    (["report", "missing.json"], "[Errno 2] No such file or directory: 'missing.json'"),
    (["demo", "-o", "closed/p"], "[Errno 13] Permission denied: 'closed/p'"),
    (["cache", "--processes", "0"], "Invalid value for '--processes'"),
]


@pytest.mark.parametrize(("words", "message"), REFUSED, ids=lambda x: str(x)[:40])
def test_what_is_wrong_is_refused_before_anything_is_computed(run, monkeypatch, folder, words, message):
    def compute(*_, **__):
        raise AssertionError("computed")

    monkeypatch.setattr("fastinit.probing.probe.measure", compute)
    monkeypatch.setattr("fastinit.probing.sweep.measure", compute)
    (folder / "closed").mkdir()
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: "closed" not in str(path) and real(path, mode))
    status, out, err = run(*words)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"error: {message}")


@pytest.mark.parametrize("words", [["probe", "--plot", "p.png"], ["compare", "--plot", "p.png"], ["demo"]])
def test_pictures_need_a_library_before_anything_is_computed(run, monkeypatch, words):
    monkeypatch.setattr("fastinit.probing.probe.measure", None)
    monkeypatch.setattr("fastinit.showing.comparison.measure", None)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    expected = 'error: this needs matplotlib; install it with: pip install "fastinit-kernels[plot]"\n'
    assert run(*words) == (2, "", expected)


def test_values_and_ranges():
    from fastinit.showing.commands.reading import read_values

    assert read_values("-x", "2,5,10") == [2, 5, 10]
    assert read_values("-x", "0.5:0.9:0.1") == [0.5, 0.6, 0.7, 0.8, 0.9]
    assert read_values("-x", "1:4,10,he_normal,true,1/sqrt(depth)") == [
        1,
        2,
        3,
        4,
        10,
        "he_normal",
        True,
        "1/sqrt(depth)",
    ]
    assert read_values("-x", "3:1:-1") == [3, 2, 1]
    assert read_values("-x", "0:1:0.3") == [0.0, 0.3, 0.6, 0.9]
    for wrong in ("1:", "1:2:3:4", "2:1", "nan:1", "1:inf", "0:1:1e-9", "a:b"):
        with pytest.raises(ValueError, match="START:STOP"):
            read_values("-x", wrong)


def test_a_sweep_is_the_librarys(run, folder):
    words = ["--activation", "tanh,relu", "--depth", "2,3", "--sigma-w", "0.5:1.5:0.5", "--width", "8", "--batch", "8"]
    status, out, err = run("sweep", *words, "--csv", "--store", "s.jsonl", "--plot", "s.png", "--figure", "chi")
    assert (status, err) == (0, "s.png\n")
    right = fi.sweep(activation=["tanh", "relu"], depth=[2, 3], sigma_w=[0.5, 1.0, 1.5], width=8, batch=8)
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [float(row["std"]) for row in rows] == [x for _, result in right for x in result.std]
    assert {(row["activation"], row["sigma_w"]) for row in rows} == {
        (a, s) for a in ("tanh", "relu") for s in ("0.5", "1.0", "1.5")
    }
    assert len((folder / "s.jsonl").read_text().splitlines()) == 1 + len(right)
    assert run("sweep", *words, "--store", "s.jsonl", "--save", "s.json", "-q")[0] == 0
    saved = json.loads((folder / "s.json").read_text())
    assert [entry["std"] for entry in saved] == [result.to_dict()["std"] for _, result in right]
    widths = json.loads(run("sweep", "--widths", "4,3;4,2,2", "--batch", "8", "--json")[1])
    assert [entry["widths"] for entry in widths] == [[4, 3], [4, 2, 2]]


def test_recommend_and_theory_say_what_the_library_says(run):
    status, out, _ = run("recommend", *SMALL, "--seed", "0:1", "--activation", "tanh")
    assert (status, out) == (0, f"{fi.recommend(depth=3, width=8, batch=8, seed=[0, 1], activation='tanh')}\n")
    record = json.loads(run("theory", "tanh", "--sigma-w", 1.5, "--sigma-b", 0.1, "--depth", 4, "--json")[1])
    point = fi.theory.fixed_point("tanh", sigma_w=1.5, sigma_b=0.1)
    assert (record["q*"], record["c*"], record["chi_1"]) == tuple(point[:3])
    right = fi.theory.variance_map("tanh", sigma_w=1.5, sigma_b=0.1, q0=1.0, depth=4)
    assert [layer["q"] for layer in record["layers"]] == right.tolist()


def test_histograms_are_drawn_with_characters(run):
    from fastinit.showing.sparks import spark

    assert spark([0, 1, 4, 8]) == " ▁▄█"
    assert spark([0.0, np.nan, np.inf]) == " ??"
    out = run("probe", *SMALL)[1]
    assert "histogram, root of counts" in out
    assert out.count("█") >= 3


def test_compare_takes_turns_and_draws(run, folder):
    status, out, _ = run("compare", "--elements", 1000, "--repeats", 2, "--plot", "c.svg", "--json")
    rows = {row["library"]: row for row in json.loads(out)}
    assert status == 0
    assert rows.keys() >= {"fastinit", "numpy"}
    assert rows["fastinit"]["ratio"] == 1.0
    assert all(row["seconds"] > 0 and row["ratio"] > 0 for row in rows.values())
    assert (folder / "c.svg").read_bytes().startswith(b"<?xml")


def test_the_cache_is_shown_and_cleared(folder):
    env = {**os.environ, "NUMBA_CACHE_DIR": str(folder / "kernels")}
    words = [sys.executable, "-m", "fastinit"]
    subprocess.run([*words, "init", "uniform", "--shape", "3", "-o", "w.npy"], env=env, check=True, capture_output=True)
    kept = len(list((folder / "kernels").rglob("*.bin")))
    assert kept > 0
    shown, cleared = (
        json.loads(subprocess.run([*words, "cache", "--json", *more], env=env, capture_output=True).stdout)
        for more in ([], ["--clear"])
    )
    assert (shown["kernels"], cleared["removed"], cleared["kernels"], cleared["bytes"]) == (kept, kept, 0, 0)
    assert shown["bytes"] > 1000
    assert not list((folder / "kernels").rglob("*.bin"))


@pytest.mark.skipif(sys.platform == "win32", reason="terminals of POSIX")
@pytest.mark.parametrize("plain", [False, True])
def test_a_terminal_has_colours_unless_they_are_off(plain):
    import pty

    env = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR")}
    env |= {"TERM": "xterm-256color", "COLUMNS": "100"} | ({"NO_COLOR": "1"} if plain else {})
    ours, theirs = pty.openpty()
    done = subprocess.Popen([sys.executable, "-m", "fastinit", "probe", *SMALL], stdout=theirs, stderr=theirs, env=env)
    os.close(theirs)
    printed = b""
    while True:
        try:
            chunk = os.read(ours, 1 << 16)
        except OSError:  # the other end is closed
            break
        if not chunk:
            break
        printed += chunk
    os.close(ours)
    assert done.wait() == 0
    assert b"healthy" in printed
    assert (b"\x1b[1;32m" in printed) != plain
    assert not plain or not [c for c in printed.split(b"\x1b[") if c[:3] in (b"31m", b"32m", b"36m")]


def test_the_lines_of_the_page_run(run):
    page = (Path(__file__).parent.parent / "docs" / "cli.md").read_text()
    (block,) = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    for line in block.splitlines():
        program, *words = shlex.split(line)
        assert program == "fastinit"
        status, out, err = run(*words)
        assert status == 0, (line, err)
        assert out or words[0] == "init"
    named = {name for cell in re.findall(r"^\| (`.*?) \|", page, re.MULTILINE) for name in re.findall(r"`(\w+)`", cell)}
    assert named == {*commands()}


def test_examples_of_the_helps_are_understood(run):
    """Each example's words are options of its command."""
    for name, command in commands().items():
        words = shlex.split(command.epilog.removeprefix("Example: "))
        words = words[words.index("fastinit") + 1 :]
        assert words[0] == name
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("-")} <= options
