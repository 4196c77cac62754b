"""The store of a sweep: a rerun goes on where it stopped, and no damage loses or invents a point."""

import json
import os
import signal
import subprocess
import sys
import time
import warnings
from fractions import Fraction

import numpy as np
import pytest
from sweeps import GRID, figures

import fastinit as fi
from fastinit.probing.sweep import Job, sweep


def count_jobs(monkeypatch):
    jobs = []
    run = Job.run
    monkeypatch.setattr(Job, "run", lambda self: jobs.append(self.indices) or run(self))
    return jobs


def test_a_rerun_reads_the_store(tmp_path, monkeypatch):
    path = tmp_path / "sweep.jsonl"
    first = sweep(store=path, **GRID)
    jobs = count_jobs(monkeypatch)
    second = sweep(store=path, **GRID)
    assert jobs == []
    assert [figures(r) for _, r in second] == [figures(r) for _, r in first]
    lines = path.read_text().splitlines()
    assert len(lines) == 17
    assert all(json.loads(line) for line in lines)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished sweep: its lines, with their ends, and its figures."""
    path = tmp_path_factory.mktemp("store") / "sweep.jsonl"
    swept = sweep(store=path, **GRID)
    return path.read_bytes().splitlines(keepends=True), [figures(r) for _, r in swept]


def resumed(path, monkeypatch):
    """Go on with a store; return the points that were computed, and the figures of all."""
    jobs = count_jobs(monkeypatch)
    swept = sweep(store=path, **GRID)
    assert swept.complete
    return sorted(index for job in jobs for index in job), [figures(r) for _, r in swept]


def points(*lines):
    return sorted(json.loads(line)["point"] for line in lines)


@pytest.mark.parametrize("cut", [2, 10, 1000])
def test_a_cut_off_last_line_is_taken_away(tmp_path, monkeypatch, whole, cut):
    lines, expected = whole
    path = tmp_path / "sweep.jsonl"
    path.write_bytes(b"".join(lines)[:-cut])
    with pytest.warns(RuntimeWarning, match=rf"{path}.* line 17 \(cut off, and taken away\)$") as caught:
        computed, got = resumed(path, monkeypatch)
    assert caught[0].filename == __file__
    assert (computed, got) == (points(lines[-1]), expected)
    assert path.read_bytes().splitlines(keepends=True)[:-1] == lines[:-1]
    assert resumed(path, monkeypatch) == ([], expected)


def test_a_last_line_that_lacks_but_its_end_is_whole(tmp_path, monkeypatch, whole):
    lines, expected = whole
    path = tmp_path / "sweep.jsonl"
    path.write_bytes(b"".join(lines[:9])[:-1])
    assert resumed(path, monkeypatch) == (points(*lines[9:]), expected)
    assert path.read_bytes().startswith(b"".join(lines[:9]))
    assert resumed(path, monkeypatch) == ([], expected)


def test_a_cut_off_header_is_written_again(tmp_path, monkeypatch, whole):
    lines, expected = whole
    path = tmp_path / "sweep.jsonl"
    path.write_bytes(lines[0][:40])
    with pytest.warns(RuntimeWarning, match=r"line 1 \(cut off, and taken away\)"):
        computed, got = resumed(path, monkeypatch)
    assert (computed, got) == (list(range(16)), expected)
    assert path.read_bytes().startswith(lines[0])
    assert resumed(path, monkeypatch) == ([], expected)


# What stands in place of a line, and what the warning says.
NESTED = b"[" * 200_000 + b"]" * 200_000
LINES = {
    "blank": (b"", "no JSON"),
    "spaces": (b"   ", "no JSON"),
    "words": (b"hello", "no JSON"),
    "half of it": (b'{"point": 3, "resu', "no JSON"),
    "no UTF-8": (b"\xff\xfe{}", "no UTF-8"),
    "NUL": (b"\x00" * 100, "no JSON"),
    "nested": (NESTED, "nested too deeply"),
    "nested in a point": (b'{"point": 3, "result": ' + NESTED + b', "check": ""}', "nested too deeply"),
    "a long integer": (b"1" * 5000, "an integer of 5000 digits"),
    "NaN": (b"NaN", "NaN is no number"),
    "another value": (b"[1, 2]", "no point of a sweep"),
    "an empty one": (b"{}", "no point of a sweep"),
    "another header": (b'{"fastinit_sweep": 2, "grid": {"seed": [0]}}', "another header, written with other values of"),
    "an odd header": (b'{"fastinit_sweep": 2, "grid": 3}', "no header of a sweep"),
    "a header's lie": (b'{"fastinit_sweep": 1e300, "grid": {}}', "no header of a sweep"),
}


@pytest.mark.parametrize(("line", "words"), LINES.values(), ids=LINES)
@pytest.mark.parametrize("place", [3, 16])
def test_damage_stays_in_its_line(tmp_path, monkeypatch, whole, line, words, place):
    lines, expected = whole
    path = tmp_path / "sweep.jsonl"
    damaged = [*lines[:place], line + b"\n", *lines[place + 1 :]]
    path.write_bytes(b"".join(damaged))
    with pytest.warns(RuntimeWarning, match=rf"{path}.* line {place + 1} \({words}") as caught:
        computed, got = resumed(path, monkeypatch)
    assert len(caught) == 1
    assert len(str(caught[0].message)) < 1000
    assert (computed, got) == (points(lines[place]), expected)
    assert path.read_bytes().startswith(b"".join(damaged))


@pytest.mark.parametrize("name", sorted(LINES.keys() - {"another header"}))
def test_a_header_that_lies_spoils_no_point(tmp_path, monkeypatch, whole, name):
    lines, expected = whole
    path = tmp_path / "sweep.jsonl"
    path.write_bytes(b"".join([LINES[name][0] + b"\n", *lines[1:]]))
    with pytest.warns(RuntimeWarning, match=r"line 1 \("):
        assert resumed(path, monkeypatch) == ([], expected)


def edited(line, change):
    entry = json.loads(line)
    change(entry)
    return json.dumps(entry).encode() + b"\n"


def put(*where):
    *keys, value = where

    def change(entry):
        for key in keys[:-1]:
            entry = entry[key]
        entry[keys[-1]] = value

    return change


LIES = {
    "another seed": (put("result", "seed", 7), "another seed than that of point"),
    "another width": (put("result", "batch", 11), "another batch"),
    "another activation": (put("result", "activation", "gelu"), "another activation"),
    "another dtype": (put("result", "dtype", "float64"), "another dtype"),
    "another bias": (put("result", "bias", 0.1), "another bias"),
    "a parameter": (put("result", "params", {"std": 1.0}), "another params"),
    "another figure": (put("result", "std", 0, 1.0), "changed after it was written"),
    "another hash": (put("check", "0" * 16), "changed after it was written"),
    "a point beyond": (put("point", 16), "a point that is none of 0 to 15"),
    "a point below": (put("point", -1), "a point that is none of 0 to 15"),
    "a point of words": (put("point", "3"), "a point that is none of"),
    "a point of truth": (put("point", True), "a point that is none of"),
    "a further entry": (put("more", 1), "no point of a sweep"),
    "a result of words": (put("result", "ok"), "must be a dict"),
    "an endless count": (put("result", "nonfinite", 0, 1e300), "field 'nonfinite' must hold integers"),
    "NaN for a count": (put("result", "histogram", 0, 0, None), "field 'histogram' must hold integers"),
    "a length": (put("result", "mean", []), "field 'mean' must be a list of shape"),
    "a verdict": (put("result", "verdict", "fine"), "argument 'verdict' must be one of"),
    "an escape": (put("result", "reason", "\x1b[2J"), "field 'reason' must be printable"),
}


@pytest.mark.parametrize(("change", "words"), LIES.values(), ids=LIES)
def test_a_result_has_to_be_that_of_its_point(tmp_path, monkeypatch, whole, change, words):
    lines, expected = whole
    path = tmp_path / "sweep.jsonl"
    path.write_bytes(b"".join([*lines[:5], edited(lines[5], change), *lines[6:]]))
    with pytest.warns(RuntimeWarning, match=r"line 6 \(") as caught:
        computed, got = resumed(path, monkeypatch)
    assert words in str(caught[0].message)
    assert (computed, got) == (points(lines[5]), expected)


def test_a_result_has_to_be_that_of_its_place(tmp_path, monkeypatch, whole):
    # Two schemes of one name record the same arguments.
    path = tmp_path / "sweep.jsonl"
    grid = {"scheme": [fi.get_scheme("sparse", nonzeros=n) for n in (1, 2)], "depth": 1, "width": 6, "batch": 5}
    swept = sweep(store=path, **grid)
    header, first, second = map(json.loads, path.read_bytes().splitlines())
    first["point"], second["point"] = second["point"], first["point"]
    path.write_text("".join(json.dumps(line) + "\n" for line in (header, first, second)))
    with pytest.warns(RuntimeWarning, match=r"line 2 \(changed .*line 3 \(changed"):
        again = sweep(store=path, **grid)
    assert [figures(r) for _, r in again] == [figures(r) for _, r in swept]


def test_any_byte_that_changes_is_found(tmp_path, whole):
    lines, expected = whole
    path = tmp_path / "sweep.jsonl"
    rng = np.random.default_rng(0)
    for _ in range(60):
        content = bytearray(b"".join(lines))
        content[rng.integers(len(content))] ^= 1 << rng.integers(8)
        path.write_bytes(content)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            swept = sweep(store=path, **GRID)
        assert [figures(r) for _, r in swept] == expected
        assert path.read_bytes().startswith(content)


def test_damage_everywhere_is_told_in_a_few_words(tmp_path, monkeypatch, whole):
    lines, expected = whole
    path = tmp_path / "sweep.jsonl"
    path.write_bytes(b"".join([lines[0], *[b"\n"] * 1000, *lines[1:]]))
    with pytest.warns(RuntimeWarning, match="line 2 .*line 9 .*, and 992 more") as caught:
        assert resumed(path, monkeypatch) == ([], expected)
    assert len(str(caught[0].message)) < 1000


def test_points_are_believed_without_their_header(tmp_path, monkeypatch, whole):
    lines, expected = whole
    path = tmp_path / "sweep.jsonl"
    path.write_bytes(b"".join([lines[0][:30] + b"\n", *lines[1:]]))
    with pytest.warns(RuntimeWarning, match=r"line 1 \("):
        assert resumed(path, monkeypatch) == ([], expected)
    assert path.read_bytes().endswith(lines[0])
    # Another sweep's points under this one's header are not.
    other = tmp_path / "other.jsonl"
    sweep(store=other, **{**GRID, "seed": [2, 3]})
    other.write_bytes(b"".join([lines[0], *other.read_bytes().splitlines(keepends=True)[1:]]))
    with pytest.warns(RuntimeWarning, match="line 2 .* and 8 more"):
        assert resumed(other, monkeypatch) == (list(range(16)), expected)


def test_lines_may_come_twice_and_in_any_order(tmp_path, monkeypatch, whole):
    lines, expected = whole
    path = tmp_path / "sweep.jsonl"
    path.write_bytes(b"".join([lines[0], *lines[:0:-1], lines[0], *lines[3:6]]))
    assert resumed(path, monkeypatch) == ([], expected)


def test_the_grids_arguments_may_come_in_another_order(tmp_path, monkeypatch, whole):
    lines, _ = whole
    path = tmp_path / "sweep.jsonl"
    path.write_bytes(b"".join(lines[:10]))
    jobs = count_jobs(monkeypatch)
    grid = dict(reversed(GRID.items()))
    swept = sweep(store=path, **grid)
    assert sum(map(len, jobs)) == 7
    assert [figures(r) for _, r in swept] == [figures(r) for _, r in sweep(**grid)]
    assert resumed(path, monkeypatch)[0] == []


def test_without_a_seed_a_stored_one_is_kept(tmp_path):
    path = tmp_path / "sweep.jsonl"
    grid = {"seed": None, "width": [4, 5], "depth": 1, "batch": 3}
    first = sweep(store=path, **grid)
    assert [r.seed for _, r in sweep(store=path, **grid)] == [r.seed for _, r in first]


def test_parameters_of_any_kind_can_be_stored(tmp_path, monkeypatch):
    import numba

    @numba.njit
    def cubic(z):
        return z**3

    path = tmp_path / "sweep.jsonl"
    small = {"depth": 1, "width": 4, "batch": 3}
    for grid in (
        {"nonlinearity": [cubic, "relu"], **small},
        {"scheme": "normal", "std": [Fraction(1, 3), np.float32(0.1)], "mean": np.int64(1), **small},
    ):
        path.unlink(missing_ok=True)
        first = sweep(store=path, **grid)
        assert [figures(r) for _, r in sweep(store=path, **grid)] == [figures(r) for _, r in first]
        assert first.results[0].params == json.loads(json.dumps(first.results[0].params))


def test_another_grids_store_is_an_error_that_changes_nothing(tmp_path):
    path = tmp_path / "sweep.jsonl"
    sweep(store=path, **GRID)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"must belong to this grid, got .*, written with other values of seed"):
        sweep(store=path, **{**GRID, "seed": range(3)})
    with pytest.raises(ValueError, match="written with other values of sigma_b"):
        sweep(store=path, **GRID, sigma_b=0.1)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "content",
    [b"hello\n", b"hello", b"{}\n", b"{", b"[1]\n", b"\x00\xff\n", b"\n", b" ", NESTED, b'{"fastinit_sweep": 2}\n',
     b'{"point": 3, "result": {}, "check": ""}\n', b"\x00" * 4096],
    ids=lambda content: repr(content[:20]),
)  # fmt: skip
def test_a_file_that_is_no_store_is_left_alone(tmp_path, content):
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="argument 'store' must be a sweep's file"):
        sweep(store=path, **GRID)
    assert path.read_bytes() == content


def test_an_arrays_content_is_part_of_the_grid(tmp_path):
    path = tmp_path / "sweep.jsonl"
    x = np.ones((3, 4))
    sweep(store=path, inputs=x, depth=1, width=3)
    sweep(store=path, inputs=x.copy(), depth=1, width=3)
    with pytest.raises(ValueError, match="other values of inputs"):
        sweep(store=path, inputs=2 * x, depth=1, width=3)


NO_FILES = {
    "a folder": (lambda folder: folder, ValueError, "which is a folder"),
    "a device": (lambda _: "/dev/null", ValueError, "which is a device or a pipe"),
    "a full device": (lambda _: "/dev/full", ValueError, "which is a device or a pipe"),
    "a pipe": (lambda folder: os.mkfifo(folder / "pipe") or folder / "pipe", ValueError, "which is a device or a pipe"),
    "no path": (lambda _: 3, TypeError, "argument 'store' must be the path of a file, got 3"),
    "truth": (lambda _: True, TypeError, "argument 'store' must be the path of a file, got True"),
    "NUL": (lambda _: "a\0b", ValueError, "argument 'store' must be the path of a file, got 'a\\x00b'"),
    "no Unicode": (lambda _: "a\ud800b", ValueError, "argument 'store' must be the path of a file, got 'a\\ud800b'"),
    "no such folder": (lambda folder: folder / "missing" / "a", FileNotFoundError, "missing"),
    "below a file": (lambda folder: __file__ + "/a", NotADirectoryError, "test_store.py"),
    "a long name": (lambda folder: folder / ("a" * 1000), OSError, "File name too long"),
}


@pytest.mark.skipif(sys.platform == "win32", reason="files of POSIX")
@pytest.mark.parametrize(("path", "error", "words"), NO_FILES.values(), ids=NO_FILES)
def test_what_is_no_file_is_refused_before_anything_is_computed(tmp_path, monkeypatch, path, error, words):
    jobs = count_jobs(monkeypatch)
    with pytest.raises(error) as caught:
        sweep(store=path(tmp_path), **GRID)
    assert words in str(caught.value)
    assert jobs == []


@pytest.mark.skipif(sys.platform == "win32", reason="rights of POSIX")
@pytest.mark.parametrize("rights", [0o000, 0o400, 0o200], ids=oct)
def test_a_file_that_cannot_be_read_and_written_is_refused(tmp_path, python, rights):
    path = tmp_path / "sweep.jsonl"
    sweep(store=path, depth=1, width=4, batch=3)
    before = path.read_bytes()
    path.chmod(rights)
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    # Root may do everything, until it is somebody else.
    code = """
import os, sys
import fastinit as fi
fi.probe(depth=1, width=4, batch=3)
if os.geteuid() == 0:
    os.setegid(65534)
    os.seteuid(65534)
try:
    fi.sweep(store=sys.argv[1], depth=1, width=4, batch=3)
except PermissionError as error:
    print(error.filename)
"""
    assert python(code, path) == f"{path}\n"
    path.chmod(0o600)
    assert path.read_bytes() == before


def test_a_store_that_was_taken_away_is_begun_again(tmp_path, monkeypatch, whole):
    path = tmp_path / "sweep.jsonl"
    run = Job.run

    def take_away(self):
        if 0 in self.indices:
            path.unlink()
        return run(self)

    with monkeypatch.context() as patched:
        patched.setattr(Job, "run", take_away)
        assert sweep(store=path, **GRID).complete
    assert path.read_bytes().startswith(whole[0][0])
    computed, got = resumed(path, monkeypatch)
    assert 0 not in computed
    assert got == whole[1]


def test_a_relative_path_is_that_of_the_beginning(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = Job.run
    monkeypatch.setattr(Job, "run", lambda self: os.chdir("/") or run(self))
    sweep(store="sweep.jsonl", depth=1, width=4, batch=3)
    assert (tmp_path / "sweep.jsonl").read_bytes().count(b"\n") == 2


SLOW = """
import sys, time
from fastinit.probing.sweep import Job, sweep
run = Job.run
def slow(self):
    time.sleep(0.2)
    return run(self)
Job.run = slow
result = sweep(store=sys.argv[1], depth=1, width=4, batch=3, seed=range(40))
print(len(result), result.complete, repr(result))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_sweep_loses_no_point(tmp_path, number):
    path = tmp_path / "sweep.jsonl"
    process = subprocess.Popen([sys.executable, "-c", SLOW, path], stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (path.exists() and path.read_bytes().count(b"\n") > 4):
        time.sleep(0.02)
    os.kill(process.pid, number)
    output, _ = process.communicate(timeout=60)
    done = path.read_bytes().count(b"\n") - 1
    assert 4 <= done < 40
    if number == signal.SIGINT:
        assert process.returncode == 0
        assert output.split()[1] == "False"
        assert int(output.split()[0]) == done
        assert f"{done} of 40 points" in output
    resumed = sweep(store=path, depth=1, width=4, batch=3, seed=range(40))
    assert resumed.complete
    assert [figures(r) for _, r in resumed] == [figures(fi.probe(**p)) for p, _ in resumed]
