"""Where a file goes that the package writes: through links, into devices, with the mode and owner that were there."""

import os
import stat
import subprocess
import sys
import threading

import pytest

import fastinit as fi
from fastinit.files import replacing

posix = pytest.mark.skipif(sys.platform == "win32", reason="links, modes and devices of POSIX")

WRITE = """
import os, sys
from fastinit.files import replacing
def write(path, content=b"new"):
    with replacing(path) as file:
        file.write(content)
"""


def write(path, content=b"new"):
    with replacing(path) as file:
        file.write(content)


def fail(path, error):
    with replacing(path) as file:
        file.write(b"unwanted")
        raise error


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


@pytest.fixture
def old(tmp_path):
    path = tmp_path / "old"
    path.write_bytes(b"old, and longer")
    return path


def test_a_file_changes_when_the_block_has_ended(old):
    with replacing(old) as file:
        file.write(b"new")
        file.flush()
        assert old.read_bytes() == b"old, and longer"
    assert old.read_bytes() == b"new"
    assert os.listdir(old.parent) == ["old"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("name", ["old", "absent"])
def test_a_block_that_fails_changes_nothing(old, error, name):
    with pytest.raises(error):
        fail(old.with_name(name), error)
    assert old.read_bytes() == b"old, and longer"
    assert os.listdir(old.parent) == ["old"]


def test_the_bytes_are_on_the_disk_before_the_name_is(old, monkeypatch):
    events = []
    monkeypatch.setattr(os, "fsync", lambda handle: events.append(("synced", os.fstat(handle).st_size)))
    rename = os.replace
    monkeypatch.setattr(os, "replace", lambda *names: (events.append("renamed"), rename(*names)))
    write(old)
    assert events == [("synced", 3), "renamed"]


@posix
@pytest.mark.parametrize("kept", [0o600, 0o640, 0o644, 0o666, 0o755])
def test_the_mode_stays(old, kept):
    old.chmod(kept)
    inode = old.stat().st_ino
    write(old)
    assert (old.read_bytes(), mode(old)) == (b"new", kept)
    assert old.stat().st_ino != inode  # replaced, not written over


@posix
@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_a_new_file_has_the_mode_of_any_other(tmp_path, mask):
    before = os.umask(mask)
    try:
        write(tmp_path / "new")
    finally:
        os.umask(before)
    assert mode(tmp_path / "new") == 0o666 & ~mask


@posix
def test_a_private_file_is_private_from_the_start(old, monkeypatch):
    monkeypatch.setattr("shutil.copystat", lambda *paths: None)  # which comes a moment later
    old.chmod(0o600)
    with replacing(old):
        (hidden,) = set(os.listdir(old.parent)) - {"old"}
        assert mode(old.parent / hidden) == 0o600


@posix
def test_extended_attributes_stay(old):
    try:
        os.setxattr(old, "user.note", b"mine")
    except (OSError, AttributeError):
        pytest.skip("no extended attributes here")
    write(old)
    assert os.getxattr(old, "user.note") == b"mine"


@posix
def test_the_owner_stays(old, root):
    os.chown(old, 54321, 54322)
    old.chmod(0o640)
    write(old)
    status = old.stat()
    assert (status.st_uid, status.st_gid, mode(old)) == (54321, 54322, 0o640)


@posix
@pytest.mark.parametrize("to", ["old", "absent", "folder/absent", "{}/old", "second"])
def test_a_link_stays_a_link(old, to):
    folder = old.parent / "folder"
    folder.mkdir()
    (old.parent / "second").symlink_to("old")
    link = folder.with_name("link")
    link.symlink_to(to.format(old.parent))
    write(link)
    assert os.readlink(link) == to.format(old.parent)
    assert link.read_bytes() == b"new"
    assert (old.parent / "second").is_symlink()
    assert not [name for name in os.listdir(old.parent) + os.listdir(folder) if name.startswith(".")]


@posix
def test_a_link_in_another_folder_leads_from_there(old):
    folder = old.parent / "folder"
    folder.mkdir()
    (folder / "link").symlink_to("../old")
    write(folder / "link")
    assert old.read_bytes() == b"new"
    assert os.listdir(folder) == ["link"]


@posix
def test_every_name_of_a_file_shows_what_was_written(old):
    second = old.with_name("second")
    os.link(old, second)
    write(old)
    assert second.read_bytes() == old.read_bytes() == b"new"
    assert old.stat().st_nlink == 2
    with pytest.raises(KeyError):
        fail(old, KeyError)
    assert second.read_bytes() == b"new"
    assert sorted(os.listdir(old.parent)) == ["old", "second"]


@pytest.fixture
def device(tmp_path):
    """Make a device like /dev/null (3) or /dev/full (7): the machine's own are not put at risk."""

    def make(minor):
        path = tmp_path / "device"
        try:
            os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, minor))
            path.write_bytes(b"")
        except OSError:
            pytest.skip("this user may not make devices here")
        return path

    return make


@pytest.mark.skipif(sys.platform != "linux", reason="Linux's numbers of devices")
def test_a_device_is_written_to(device, tmp_path):
    null = device(3)
    write(null)
    assert stat.S_ISCHR(null.stat().st_mode)
    (tmp_path / "link").symlink_to("device")
    write(tmp_path / "link")
    assert os.readlink(tmp_path / "link") == "device"
    assert stat.S_ISCHR(null.stat().st_mode)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux's numbers of devices")
def test_a_device_that_is_full_says_so(device):
    full = device(7)
    with pytest.raises(OSError, match=f"No space left on device: '{full}'"):
        write(full)


@posix
def test_a_pipe_with_a_name_is_written_to(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    read = []
    reader = threading.Thread(target=lambda: read.append(path.read_bytes()))
    reader.start()
    write(path)
    reader.join(timeout=30)
    assert read == [b"new"]
    assert stat.S_ISFIFO(os.stat(path).st_mode)


# As a user who owns nothing but what is given to him, and who cannot replace the machine's files if all goes wrong.
DROP = """
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(54321)
    os.setuid(54321)
"""


@posix
@pytest.mark.parametrize("path", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "link"])
@pytest.mark.parametrize("stream", ["pipe", "file", "appended"])
def test_the_standard_output_goes_on_where_it_is(public, monkeypatch, path, stream):
    if path.startswith("/proc") and not os.path.exists("/proc/self/fd"):
        pytest.skip("no /proc here")
    (public / "link").symlink_to("/dev/stdout")
    code = WRITE + DROP + "print('before'); write(sys.argv[1], b'new\\n'); print('after')"
    words = [sys.executable, "-c", code, path]
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)  # what is printed waits in a buffer
    if stream == "pipe":
        output = subprocess.run(words, capture_output=True, check=True, cwd=public).stdout
    else:
        (public / "log").write_bytes(b"first\n")
        with open(public / "log", "ab" if stream == "appended" else "wb") as log:
            subprocess.run(words, stdout=log, check=True, cwd=public)
        output = (public / "log").read_bytes()
    assert output == (b"first\n" if stream == "appended" else b"") + b"before\nnew\nafter\n"


# The path, below a folder that holds `old`, an empty `folder` and links; and the error.
REFUSED = {
    "a folder": ("{}/folder", IsADirectoryError),
    "a folder, by a link": ("{}/to folder", IsADirectoryError),
    "a new folder": ("{}/new/", FileNotFoundError),
    "in a missing folder": ("{}/missing/new", FileNotFoundError),
    "a link into a missing folder": ("{}/dangling", FileNotFoundError),
    "below a file": ("{}/old/new", NotADirectoryError),
    "a loop of links": ("{}/loop", OSError),
    "a name too long": ("{}/" + "x" * 256, OSError),
    "nothing": ("", FileNotFoundError),
    "a closed descriptor": ("/dev/fd/987", OSError),
    "a null character": ("a\0b", ValueError),
    "a number": (3, TypeError),
    "none": (None, TypeError),
}


@posix
@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_a_file_is_refused_by_name(old, case):
    path, kind = REFUSED[case]
    path = path.format(old.parent) if isinstance(path, str) else path
    (old.parent / "folder").mkdir()
    for name, to in (("to folder", "folder"), ("dangling", "missing/new"), ("loop", "loop")):
        (old.parent / name).symlink_to(to)
    before = sorted(os.listdir(old.parent))
    with pytest.raises(kind) as caught:
        write(path)
    if isinstance(caught.value, OSError):
        assert str(caught.value).endswith(f": {path!r}")
    else:
        assert str(caught.value).startswith("argument 'path' must ")
        assert repr(path) in str(caught.value)
    assert sorted(os.listdir(old.parent)) == before
    assert old.read_bytes() == b"old, and longer"


@pytest.mark.parametrize("name", ["x" * 255, "é" * 127, "x" * 250 + ".json"])
def test_a_name_may_be_as_long_as_names_may_be(tmp_path, name):
    write(tmp_path / name)
    write(tmp_path / name, b"newer")
    assert os.listdir(tmp_path) == [name]


@pytest.mark.skipif(sys.platform != "linux", reason="4095 is Linux's number")
def test_a_path_may_be_as_long_as_paths_may_be(tmp_path):
    # There is no room for a hidden file, whose name is longer.
    folder = str(tmp_path)
    while len(folder) < 4093:
        folder += "/" + "d" * (min(254, 4092 - len(folder)) or 1)
    os.makedirs(folder)
    path = f"{folder}/{'f' * (4094 - len(folder))}"
    for content in (b"new", b"newer"):
        write(path, content)
        assert os.listdir(folder) == [os.path.basename(path)]


@posix
def test_a_file_in_a_folder_that_takes_no_other_is_written_in_place(python, root, public):
    folder = public / "folder"
    folder.mkdir()
    (folder / "file").write_bytes(b"old, and longer")
    (folder / "file").chmod(0o606)
    (folder / "closed").write_bytes(b"old")
    python(
        WRITE + DROP + "write(sys.argv[1])\n"
        "for name in ('closed', 'absent'):\n"
        "    try: write(os.path.join(os.path.dirname(sys.argv[1]), name))\n"
        "    except PermissionError as error: assert name in str(error)\n"
        "    else: raise AssertionError\n",
        folder / "file",
    )
    assert (folder / "file").read_bytes() == b"new"
    assert (mode(folder / "file"), (folder / "file").stat().st_uid) == (0o606, 0)
    assert (folder / "closed").read_bytes() == b"old"
    assert sorted(os.listdir(folder)) == ["closed", "file"]


@posix
@pytest.mark.parametrize("kind", ["sticky", "open"])
def test_another_users_file_stays_his(python, root, public, kind):
    # In a sticky folder it may not be renamed over; elsewhere it might be, and would change hands.
    folder = public / "folder"
    folder.mkdir()
    folder.chmod(0o1777 if kind == "sticky" else 0o777)
    path = folder / "file"
    path.write_bytes(b"old, and longer")
    path.chmod(0o666)
    os.chown(path, 54322, 54322)
    python(WRITE + DROP + "write(sys.argv[1])", path)
    assert path.read_bytes() == b"new"
    assert (mode(path), path.stat().st_uid) == (0o666, 54322)
    assert os.listdir(folder) == ["file"]


@posix
def test_a_file_without_the_right_to_write_is_refused(python, root, public):
    path = public / "file"
    path.write_bytes(b"old")
    os.chown(path, 54321, 54321)
    path.chmod(0o444)
    code = "try: write(sys.argv[1])\nexcept PermissionError as error: print(error)"
    assert str(path) in python(WRITE + DROP + code, path)
    assert path.read_bytes() == b"old"
    assert os.listdir(public) == ["file"]


@posix
def test_a_mounted_file_is_written_in_place(root, old, tmp_path):
    # As a container's: it may not be renamed over.
    inside = tmp_path / "inside"
    inside.touch()
    if subprocess.run(["mount", "--bind", old, inside], capture_output=True).returncode:
        pytest.skip("this user may not mount")
    try:
        write(inside)
    finally:
        subprocess.run(["umount", inside], check=True)
    assert old.read_bytes() == b"new"
    assert sorted(os.listdir(tmp_path)) == ["inside", "old"]


@pytest.fixture(scope="module")
def result():
    return fi.probe(depth=2, width=8, batch=8)


WRITERS = {"json": lambda result, path: result.save(path), "png": lambda result, path: result.plot(path)}


@posix
@pytest.mark.parametrize("suffix", WRITERS)
def test_a_full_disk_keeps_the_old_file_and_leaves_no_other(result, small_disk, suffix):
    path = small_disk / f"result.{suffix}"
    path.write_bytes(b"old")
    (small_disk / "filler").write_bytes(bytes(60 << 10))
    with pytest.raises(OSError, match=f"No space left on device: '{path}'"):
        WRITERS[suffix](result, path)
    assert path.read_bytes() == b"old"
    assert sorted(os.listdir(small_disk)) == ["filler", path.name]
