"""The lane of faults notices: a product that loses something is reported as one that did not survive."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from faults import run
from faults.lane import Row
from faults.page import page
from faults.table import FAULTS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the lane's faults are Linux's")

LANE = Path(run.__file__)

# Each in a process forked from one that has the kernels: the product is broken, and a fault tried a few times.
TRY = """
import json, os, pathlib, random, signal, sys, tempfile, time
sys.path.insert(0, os.environ["TESTS"])
import golden
from faults import lane, table, work
from faults.trial import Trial, Lost
import fastinit as fi
from fastinit import files
from fastinit.probing import result, shared, store
from fastinit_kernels.machine import cache

work.warm()
for name, mutation, tries in json.loads(sys.argv[1]):
    (fault,) = (fault for fault in table.FAULTS if fault.name == name)
    read, write = os.pipe()
    if os.fork() == 0:
        exec(mutation)
        with tempfile.TemporaryDirectory() as root:
            folders = [pathlib.Path(tempfile.mkdtemp(dir=root)) for _ in range(tries)]
            words = [lane.run(fault, 0, number, folder) for number, folder in enumerate(folders)]
        os.write(write, "; ".join(filter(None, words))[:4000].encode())
        os._exit(0)
    os.close(write)
    print(json.dumps(os.read(read, 4000).decode()))
    os.wait()
"""

KEEP = "os.unlink = lambda path, **words: os.remove(path, **words) if words else None"
DOUBLE = "law = golden.LAWS['normal']; golden.LAWS['normal'] = (lambda *a, **w: law[0](*a, **w) * 2, law[1])"

# What breaks the product: the fault, the change, tries, and what is said.
MUTATIONS = {
    "a point is lost": (
        "kill -9: a sweep with a store",
        "add = store.Store.add; store.Store.add = lambda self, i, r: i % 5 and add(self, i, r)",
        4,
        "finished points are not in the store",
    ),
    "a line is written in pieces, without a lock": (
        "Four writers on one fresh store",
        """
shared.fcntl = None
real = os.write
def pieces(handle, text):
    time.sleep(0.001)
    return real(handle, text[:700])
os.write = pieces
""",
        4,
        "Lost",
    ),
    "a line cut by a full disk stays": (
        "Full disk: a sweep with a store",
        "shared.OpenFile.cut = lambda self, size: None",
        4,
        "a part of a line is left",
    ),
    "a changed result is believed": (
        "Lines of a store that lie",
        "store.Store._check = lambda self, number, values: '0'",
        12,
        "computed again",
    ),
    "a line that is sound is not believed": (
        "Foreign lines in a store",
        "take = store.Store._take; store.Store._take = lambda self, e: e.get('point') == 3 or take(self, e)",
        2,
        "computed again",
    ),
    "the old file is written over": (
        "Full disk: `save`",
        "result.replacing = lambda path: open(path, 'wb')",
        4,
        "neither the old nor the new file",
    ),
    "a hidden file stays": ("Full disk: `save`", KEEP, 2, "left behind"),
    "half a file takes the name": (
        "kill -9: `fastinit init`",
        "files._beside = lambda target, status: open(target, 'wb', buffering=0)",
        12,
        "neither the old nor the new file",
    ),
    "half a file of a checkpoint takes the name": (
        "kill -9: a checkpoint",
        "fi.checkpoint.reserved = lambda path, size: open(path, 'w+b', buffering=0)",
        8,
        "is not what it has to be",
    ),
    "a killed checkpoint's room is not taken over": (
        "kill -9: a checkpoint",
        "from fastinit import reserving; reserving.fcntl = None",
        12,
        "left behind",
    ),
    "a checkpoint's hidden file stays": ("Full disk: a checkpoint", KEEP, 4, "left behind"),
    "the cache leaves its temporary file": (
        "Full disk: the first compile",
        KEEP,
        4,
        "left behind",
    ),
    "the cache is not kept": (
        "Two processes compile into one empty cache",
        "cache._write = lambda *_: None",
        1,
        "not kept",
    ),
    "wrong bytes": (
        "Little memory: a fill",
        DOUBLE,
        12,
        "wrong bytes: normal float32",
    ),
    "wrong bytes in a child": (
        "Forks while two threads are in fills",
        f"def after():\n    {DOUBLE}\nos.register_at_fork(after_in_child=after)",
        1,
        "wrong bytes: normal float32",
    ),
    "a MemoryError without a name": (
        "Little memory: a fill",
        "def big(*a, **w): raise MemoryError('Unable to allocate')\nfi.normal = fi.uniform = fi.truncated_normal = big",
        1,
        "ended with 1",
    ),
    "an abort": ("Little memory: a probe", "fi.probe = lambda **words: os.abort()", 1, "ended with -6"),
    "a segmentation fault": (
        "Little memory: a probe",
        "fi.probe = lambda **words: os.kill(os.getpid(), signal.SIGSEGV)",
        1,
        "ended with -11",
    ),
    "a process that hangs": (
        "Little memory: a probe",
        """
ended = Trial.fork.__globals__["Child"].ended
Trial.fork.__globals__["Child"].ended = lambda self, codes: ended(self, codes, 0.3)
fi.probe = lambda **words: time.sleep(100)
""",
        1,
        "hangs",
    ),
    "a worker's end is said to be another error": (
        'A killed pool worker, on_error="skip"',
        """
outcome = sys.modules["fastinit.probing.sweep"]._Outcome
fail = outcome.fail
outcome.fail = lambda self, job, error: fail(self, job, ValueError("no reason"))
""",
        4,
        "no reason",
    ),
}
WHOLE = sorted({fault for fault, *_ in MUTATIONS.values()})


@pytest.fixture(scope="module")
def found(python):
    """What is said of each mutation, and of the product as it is."""
    cases = [(fault, mutation, tries) for fault, mutation, tries, _ in MUTATIONS.values()]
    lines = python(TRY, json.dumps(cases + [(fault, "", 2) for fault in WHOLE])).splitlines()
    return dict(zip([*MUTATIONS, *WHOLE], map(json.loads, lines), strict=True))


@pytest.mark.ci
@pytest.mark.parametrize("mutation", MUTATIONS)
def test_what_is_broken_is_noticed(found, mutation):
    assert MUTATIONS[mutation][-1] in found[mutation]


@pytest.mark.ci
@pytest.mark.parametrize("fault", WHOLE)
def test_the_product_survives(found, fault):
    assert found[fault] == ""


def test_the_table_has_a_row_a_fault():
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
    assert all(0 < fault.short <= fault.full for fault in FAULTS)


def test_the_page_says_what_was_lost_and_what_was_not_tried():
    rows = [Row(FAULTS[0], tried=50, lost=["a", "b"]), Row(FAULTS[-1], missing="needs root"), Row(FAULTS[-2], tried=3)]
    text = page(rows, seed=0, seconds=61.0)
    assert "53 tries, 51 survived" in text
    assert [line.split(" | ")[-2:] for line in text.splitlines() if line.startswith("| ")][2:] == [
        ["50", "48 |"],
        ["-", "needs root |"],
        ["3", "3 |"],
    ]


def test_faults_that_differ_in_their_names_share_a_line():
    lines = page([Row(fault, tried=2, lost=["a"]) for fault in FAULTS[:3]], seed=0, seconds=61.0).splitlines()
    assert "3 faults, 6 tries, 3 survived" in lines[2]
    (row,) = [line for line in lines if line.startswith("| kill")]
    assert row.startswith("| kill -9, Ctrl-C, SIGTERM: a sweep with a store | at a random moment |")
    assert row.endswith("| 6 | 3 |")


@pytest.mark.ci
def test_the_command():
    def command(*words):
        return subprocess.run([sys.executable, LANE, *words], capture_output=True, text=True, timeout=200)

    done = command("--only", "Headers of a store")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Headers of a store that lie: 8 of 8 survived" in done.stdout
    assert "--lane {short,full}" in command("--help").stdout
    assert "no fault has 'nothing' in its name" in command("--only", "nothing").stderr
    assert "leave out --only or --write" in command("--only", "kill", "--write").stderr
