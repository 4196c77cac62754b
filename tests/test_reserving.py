"""Files of a known size: room first, whole or absent, one writer, and no more than one hidden file left by a kill."""

import errno
import os
import signal
import subprocess
import sys

import pytest

from fastinit import reserving
from fastinit.reserving import reserved

posix = pytest.mark.skipif(sys.platform == "win32", reason="locks and links of POSIX")


def write(path, content=b"content"):
    with reserved(path, len(content)) as file:
        file.write(content)


def fail(path, error):
    with reserved(path, 5) as file:
        file.write(b"unw")
        raise error


def test_a_file_appears_when_the_block_has_ended(tmp_path):
    path = tmp_path / "a"
    with reserved(path, 7) as file:
        file.write(b"content")
        assert not path.exists()
        (hidden,) = os.listdir(tmp_path)
        assert hidden.startswith(".fastinit-")
        assert (tmp_path / hidden).stat().st_size == 7
    assert path.read_bytes() == b"content"
    assert os.listdir(tmp_path) == ["a"]


def test_the_room_is_taken_first_and_the_bytes_are_on_the_disk_before_the_name_is(tmp_path, monkeypatch):
    events = []
    take, sync, rename = os.posix_fallocate, os.fsync, os.replace
    monkeypatch.setattr(os, "posix_fallocate", lambda *of: (events.append("taken"), take(*of)))
    monkeypatch.setattr(os, "fsync", lambda *of: (events.append("synced"), sync(*of)))
    monkeypatch.setattr(os, "replace", lambda *of: (events.append("renamed"), rename(*of)))
    with reserved(tmp_path / "a", 7):
        events.append("written")
    assert events == ["taken", "written", "synced", "renamed", "synced"]  # in the end the folder


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("old", [None, b"old"])
def test_a_block_that_fails_changes_nothing(tmp_path, error, old):
    path = tmp_path / "a"
    if old:
        path.write_bytes(old)
    with pytest.raises(error):
        fail(path, error)
    assert os.listdir(tmp_path) == ["a"] * bool(old)
    assert not old or path.read_bytes() == old


@posix
def test_one_process_writes(tmp_path):
    path = tmp_path / "a"
    code = "import sys; from fastinit.reserving import reserved\nwith reserved(sys.argv[1], 9) as f: f.write(b'x' * 9)"
    with reserved(path, 7) as file:
        file.write(b"con")
        second = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)
        assert (
            f"BlockingIOError: [Errno {errno.EAGAIN}] Another process is writing this file: '{path}'" in second.stderr
        )
        file.write(b"tent")
    assert path.read_bytes() == b"content"
    assert os.listdir(tmp_path) == ["a"]


@posix
def test_what_a_killed_process_left_is_taken_over(tmp_path):
    path = tmp_path / "a"
    code = """
import sys, time
from fastinit.reserving import reserved
with reserved(sys.argv[1], 1 << 20) as file:
    file.write(b"rest" * 1000)
    file.flush()
    print("here", flush=True)
    time.sleep(100)
"""
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE)
        process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        assert len(os.listdir(tmp_path)) == 1
    with reserved(path, 3) as file:
        assert len(os.listdir(tmp_path)) == 1
        assert file.read() == bytes(3)  # nothing of it
    assert (os.listdir(tmp_path), path.read_bytes()) == (["a"], bytes(3))


@posix
def test_who_waits_for_a_name_does_not_write_into_the_finished_file(tmp_path, monkeypatch):
    """The file was opened while another process still wrote it, and is finished by the time it is locked."""
    path = tmp_path / "a"
    real, turns = reserving.fcntl.flock, []

    def late(handle, how):
        if not turns:
            turns.append("finished")
            (hidden,) = os.listdir(tmp_path)
            (tmp_path / hidden).write_bytes(b"of another")
            os.replace(tmp_path / hidden, path)
        real(handle, how)

    monkeypatch.setattr(reserving.fcntl, "flock", late)
    with reserved(path, 4):
        assert path.read_bytes() == b"of another"
    assert path.read_bytes() == bytes(4)


@posix
def test_the_next_writers_hidden_file_is_left_to_it(tmp_path, monkeypatch):
    """It may be there as soon as ours has its name."""
    path, rename = tmp_path / "a", os.replace

    def replace(source, target):
        rename(source, target)
        with open(source, "wb") as file:
            file.write(b"another's")

    monkeypatch.setattr(os, "replace", replace)
    write(path)
    hidden = set(os.listdir(tmp_path)) - {"a"}
    assert [(tmp_path / name).read_bytes() for name in hidden] == [b"another's"]


@posix
@pytest.mark.parametrize("kind", ["link", "second name", "owner"])
def test_a_hidden_file_of_somebody_elses_is_not_written_to(tmp_path, kind, request):
    path, other = tmp_path / "a", tmp_path / "other"
    other.write_bytes(b"mine")
    with reserved(path, 1):
        (hidden,) = [name for name in os.listdir(tmp_path) if name[0] == "."]
    path.unlink()
    if kind == "link":
        (tmp_path / hidden).symlink_to(other)
    elif kind == "second name":
        os.link(other, tmp_path / hidden)
    else:
        request.getfixturevalue("root")
        (tmp_path / hidden).write_bytes(b"his")
        os.chown(tmp_path / hidden, 54321, 54321)
    with pytest.raises(OSError, match=f"'{path}'"):
        write(path)
    assert other.read_bytes() == b"mine"
    assert sorted(os.listdir(tmp_path)) == sorted([hidden, "other"])


def test_a_full_disk_says_so_before_the_block_begins(small_disk):
    (small_disk / "a").write_bytes(b"old")
    begun = []
    with (
        pytest.raises(OSError, match=f"No space left on device: '{small_disk}/a'"),
        reserved(small_disk / "a", 1 << 20),
    ):
        begun.append(True)
    assert not begun
    assert (os.listdir(small_disk), (small_disk / "a").read_bytes()) == (["a"], b"old")


def test_where_no_room_can_be_taken_files_are_written_all_the_same(tmp_path, monkeypatch):
    def unable(*_):
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "posix_fallocate", unable, raising=False)
    write(tmp_path / "a")
    monkeypatch.delattr(os, "posix_fallocate")
    write(tmp_path / "b")
    monkeypatch.setattr(reserving, "fcntl", None)
    write(tmp_path / "c")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == dict.fromkeys("abc", b"content")


@posix
def test_a_link_stays_one_and_modes_are_those_of_any_file(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "a").symlink_to("folder/b")
    write(tmp_path / "a")
    assert (tmp_path / "a").is_symlink()
    assert os.listdir(tmp_path / "folder") == ["b"]
    (tmp_path / "c").touch()
    assert (tmp_path / "folder" / "b").stat().st_mode == (tmp_path / "c").stat().st_mode


@posix
def test_a_file_without_the_right_to_write_is_refused(python, root, public):
    path = public / "a"
    path.write_bytes(b"old")
    os.chown(path, 54321, 54321)
    path.chmod(0o444)
    code = """
import os, sys
from fastinit.reserving import reserved
os.setgroups([])
os.setgid(54321)
os.setuid(54321)
try:
    with reserved(sys.argv[1], 3) as file:
        file.write(b"new")
except PermissionError as error:
    print(error)
"""
    assert str(path) in python(code, path)
    assert (os.listdir(public), path.read_bytes()) == (["a"], b"old")


@pytest.mark.parametrize(
    ("path", "kind"),
    [("{}", IsADirectoryError), ("{}/missing/a", FileNotFoundError), ("a\0b", ValueError), (3, TypeError),
     ("{}/" + "x" * 256, OSError)],
)  # fmt: skip
def test_what_cannot_be_a_file_is_refused_by_name(tmp_path, path, kind):
    path = path.format(tmp_path) if isinstance(path, str) else path
    with pytest.raises(kind) as caught:
        write(path)
    assert repr(path) in str(caught.value)
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("fails", ["", "raise ValueError"])
def test_an_interruption_at_any_line_leaves_nothing(tmp_path, fails):
    """Ctrl-C at any step, from the first to the last, of a block that ends or fails."""
    code = """
import os, sys
from fastinit.reserving import reserved
def trace(frame, event, argument):
    if "reserving" in frame.f_code.co_filename or "contextlib" in frame.f_code.co_filename:
        if event == "line":  # signals come there, and not between a yield and its caller
            steps[0] -= 1
            if not steps[0]:
                raise KeyboardInterrupt
        return trace
for number in range(1, 400):
    steps = [number]
    sys.settrace(trace)
    try:
        with reserved(sys.argv[1], 100) as file:
            file.write(bytes(100))
            exec(sys.argv[2])
    except (KeyboardInterrupt, ValueError):
        pass
    finally:
        sys.settrace(None)
    names = set(os.listdir(os.path.dirname(sys.argv[1])))
    assert names <= {"a"}, (number, names)
    if names:
        assert os.path.getsize(sys.argv[1]) == 100
        os.unlink(sys.argv[1])
    if steps[0] > 0:
        print("whole", number)
        break
"""
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "a", fails], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("whole")
