"""A checkpoint that is killed, interrupted, or finds the disk full: whole files or none; going on gives the same."""

import os
import re
import subprocess
import sys

import pytest

import fastinit as fi
from fastinit import checkpoint

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")

# In processes forked from one that has the kernels, and no threads.
KILLS = """
import os, pathlib, random, signal, sys, time
import fastinit as fi

plan = fi.Plan([("**", {"scheme": "normal", "std": 0.02})])
shapes = {f"layers.{i}.weight": (500 + i, 1000) for i in range(30)}
fi.normal(100, seed=0, dtype="bfloat16")
folder, rng = pathlib.Path(sys.argv[1]), random.Random(0)

def start(path):
    pid = os.fork()
    if pid == 0:
        fi.checkpoint.write(path, shapes, plan, seed=1, dtype="bfloat16", max_shard_size="2MB")
        os._exit(0)
    return pid

def found(path):
    return {file.name: file.read_bytes() for file in path.iterdir()} if path.exists() else {}

begun = time.monotonic()
assert os.waitpid(start(folder / "right"), 0)[1] == 0
usual, right = time.monotonic() - begun, found(folder / "right")
kills = finished = 0
path = folder / "0"
while kills < 50:
    pid = start(path)
    time.sleep(rng.uniform(0, 0.6 * usual))
    os.kill(pid, signal.SIGKILL)
    kills += os.waitpid(pid, 0)[1] == signal.SIGKILL
    now = found(path)
    names = {name for name in now if name[0] != "."}
    assert all(now[name] == right[name] for name in names), "half a file"
    assert len(now) - len(names) <= 1, now.keys()
    if names == right.keys():
        finished += 1
        path = folder / str(finished)
assert os.waitpid(start(path), 0)[1] == 0
assert found(path) == right
print(kills, finished)
"""


def test_fifty_kills_and_the_same_bytes(python, tmp_path):
    kills, _ = map(int, python(KILLS, tmp_path).split())
    assert kills == 50


INTERRUPTED = """
import os, signal, sys, threading, time
import fastinit as fi
from fastinit.models import streaming

plan = fi.Plan([("**", {"scheme": "normal", "std": 0.02})])
fi.checkpoint.write(sys.argv[1] + "/warm", {"w": (1000, 1000)}, plan, seed=0)
def told(done, total):
    if done > total / 3 and not sent:
        sent.append(done)
        for _ in range(int(sys.argv[2])):
            os.kill(os.getpid(), signal.SIGINT)
sent, drawn, draw = [], [], streaming.drawn
streaming.drawn = lambda *of: (drawn.append(of[0].bytes), draw(*of))[1]
try:
    fi.checkpoint.write(sys.argv[1] + "/a", {str(i): (2000, 1000) for i in range(10)}, plan, seed=0, progress=told)
except KeyboardInterrupt:
    assert threading.active_count() == 1
    assert sum(drawn) < 60e6  # of 80: the rest was left
    print(os.listdir(sys.argv[1] + "/a"))
"""


@pytest.mark.parametrize("times", [1, 3])
def test_ctrl_c_leaves_neither_files_nor_threads(python, tmp_path, times):
    assert python(INTERRUPTED, tmp_path, times) == "[]\n"


def test_ctrl_c_of_the_command(tmp_path):
    (tmp_path / "shapes.json").write_text('{"w": [40000, 20000]}')
    fi.Plan([("w", "he_normal")]).save(tmp_path / "plan.json")
    code = """
import os, signal, sys
from fastinit import checkpoint
from fastinit.cli import main
write = checkpoint.write_tensors
def begun(*arguments):
    os.kill(os.getpid(), signal.SIGINT)
    write(*arguments)
checkpoint.write_tensors = begun
main(["checkpoint", "shapes.json", "-o", "out", "--plan", "plan.json"])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "interrupted\n")
    assert os.listdir(tmp_path / "out") == []


def test_a_full_disk_keeps_whole_files_and_no_other(small_disk):
    plan, shapes = fi.Plan([("**", "he_normal")]), {str(i): (64, 64) for i in range(6)}
    with pytest.raises(OSError, match=r"No space left on device: '.*/model-0000\d-of-00006.safetensors'"):
        checkpoint.write(small_disk, shapes, plan, seed=0, max_shard_size="20kB")
    files = sorted(os.listdir(small_disk))
    assert 0 < len(files) < 6
    assert all(re.fullmatch(r"model-0000\d-of-00006.safetensors", name) for name in files)
    for name in files:
        assert checkpoint.verify(small_disk / name).ok


def test_a_file_that_another_process_writes_is_not_written_twice(tmp_path):
    plan, shapes = fi.Plan([("**", "he_normal")]), {"a": (64, 64)}

    def again(done, total):
        if not done:
            return
        with pytest.raises(
            BlockingIOError, match=f"Another process is writing this file: '{tmp_path}/model.safetensors'"
        ):
            checkpoint.write(tmp_path, shapes, plan, seed=0)

    checkpoint.write(tmp_path, shapes, plan, seed=0, progress=again)
    assert checkpoint.verify(tmp_path).ok
