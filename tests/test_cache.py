"""The cache of compiled kernels: never stale, never in the way, never anybody else's."""

import compileall
import json
import os
import shutil
import subprocess
import sys
import time
import types
import zipfile
from pathlib import Path

import fastinit_kernels
import pytest
from fastinit_kernels.machine import cache
from numba.core import config
from numba.core.registry import cpu_target

# One small kernel, so that each fresh compile is short.
FILL = """
import time, warnings
import fastinit as fi
before = time.perf_counter()
x = fi.uniform(64, low=-1, high=1, seed=1)
print(x.tobytes().hex()[:64], time.perf_counter() - before)
"""


# One that compiles at once. Prints its value, what it found in the cache, the number of warnings and their text.
TINY = """
import sys, warnings
from fastinit_kernels.machine.jit import kernel
@kernel("tiny")
def tiny(x): return x + 1
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    value = tiny(41)
print(value, sum(tiny.dispatcher.stats.cache_hits.values()), len(caught), *[w.message for w in caught])
"""


def warned(output):
    """Split what TINY prints; the warning is "" if there was none."""
    value, hits, number, *message = output.split()
    assert value == "42"
    assert int(number) == bool(message)
    return int(hits), " ".join(message)


# TINY in one folder after the other, each as a process of its own would see it.
IN_EACH = f"""
import json, os, sys, numba
from fastinit_kernels.machine import cache
for folder in json.loads(sys.argv[1]):
    os.makedirs(folder, exist_ok=True)
    os.chdir(folder)
    numba.config.CACHE_DIR = folder
    cache.cache_folder.cache_clear()
    cache._warned = False
    exec({TINY!r}, {{"__name__": "__main__"}})
"""


@pytest.fixture(scope="module")
def right(python):
    return python(FILL).split()[0]


def first_value(python, path, cache):
    """The bytes drawn by the copy of the kernels in `path`."""
    where = os.pathsep.join(filter(None, (str(path), os.environ.get("PYTHONPATH"))))
    check = f"import fastinit_kernels; assert fastinit_kernels.__file__.startswith({str(path)!r})\n"
    return python(check + FILL, PYTHONPATH=where, NUMBA_CACHE_DIR=str(cache)).split()[0]


@pytest.mark.ci
def test_a_change_of_a_helper_in_another_file_is_seen(python, right, tmp_path):
    copy = tmp_path / "edited"
    shutil.copytree(Path(fastinit_kernels.__file__).parent, copy / "fastinit_kernels")
    cache = tmp_path / "cache"
    assert first_value(python, copy, cache) == right

    helper = copy / "fastinit_kernels" / "numeric" / "philox.py"
    source = helper.read_text()
    stamp = helper.stat()
    changed = source.replace("0xD2511F53", "0xD2511F55")  # as long as before
    assert changed != source
    helper.write_text(changed)
    os.utime(helper, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))  # and as old, as an unpacked wheel may leave it
    shutil.rmtree(helper.parent / "__pycache__", ignore_errors=True)
    assert first_value(python, copy, cache) != right

    helper.write_text(source)
    shutil.rmtree(helper.parent / "__pycache__", ignore_errors=True)
    assert first_value(python, copy, cache) == right


def archive(folder):
    """Zip a folder, which is then gone, so that the archive has to serve."""
    with zipfile.ZipFile(folder.with_suffix(".zip"), "w") as whole:
        for file in sorted(folder.rglob("*")):
            whole.write(file, file.relative_to(folder))
    shutil.rmtree(folder)
    return folder.with_suffix(".zip")


def byte_code(folder):
    """Leave nothing of the sources but their byte code."""
    assert compileall.compile_dir(folder, legacy=True, quiet=1)
    for source in folder.rglob("*.py"):
        source.unlink()
    return folder


FORMS = {"zip": archive, "byte code": byte_code, "zip of byte code": lambda folder: archive(byte_code(folder))}


@pytest.fixture(scope="module")
def releases(tmp_path_factory):
    """Two versions of the kernels in each form: form -> their paths."""
    paths = {}
    for form, convert in FORMS.items():
        paths[form] = []
        for number in "01":
            folder = tmp_path_factory.mktemp("release") / "kernels"
            source = Path(fastinit_kernels.__file__).parent
            shutil.copytree(source, folder / "fastinit_kernels", ignore=shutil.ignore_patterns("__pycache__"))
            helper = folder / "fastinit_kernels" / "numeric" / "philox.py"
            helper.write_text(helper.read_text().replace("0xD2511F53", f"0xD2511F5{'3' if number == '0' else '5'}"))
            paths[form].append(convert(folder))
    return paths


@pytest.mark.ci
def test_another_version_in_a_zip_runs_its_own_code(python, right, releases, tmp_path):
    first, second = releases["zip"]
    assert first_value(python, first, tmp_path) == right
    assert first_value(python, second, tmp_path) != right
    assert len(list(tmp_path.glob("fastinit/*/*.bin"))) == 4


@pytest.mark.ci
@pytest.mark.parametrize("form", FORMS)
def test_versions_in_every_form_have_folders_of_their_own(python, releases, tmp_path, form):
    code = "from fastinit_kernels.machine.jit import *; import fastinit_kernels\n" + TINY
    folders = set()
    for path in releases[form]:
        found = python(code + "print(fastinit_kernels.__file__)", PYTHONPATH=str(path), NUMBA_CACHE_DIR=str(tmp_path))
        assert found.split()[:2] == ["42", "0"]
        assert found.split()[-1].startswith(str(path))
        folders.add(len(list(tmp_path.glob("fastinit/*"))))
    assert folders == {1, 2}


def test_sources_that_cannot_be_read_mean_no_cache(python, tmp_path):
    # As in a program frozen by a tool whose loader gives no resources.
    code = (
        "import numba, importlib.resources as r; r.files = lambda package: (_ for _ in ()).throw(FileNotFoundError())\n"
    )
    found, message = warned(python(code + TINY, NUMBA_CACHE_DIR=str(tmp_path)))
    assert found == 0
    assert "sources cannot be read" in message
    assert not list(tmp_path.iterdir())


def test_nothing_is_kept_once_the_sources_have_changed(python, tmp_path):
    # An upgrade under a running process: modules imported later would be the new ones.
    shutil.copytree(Path(fastinit_kernels.__file__).parent, tmp_path / "fastinit_kernels")
    another = str(tmp_path / "fastinit_kernels" / "probe" / "lines.py")
    code = f"import fastinit_kernels.machine.jit; open({another!r}, 'a').write('#')\n"
    cache = tmp_path / "cache"
    assert python(code + TINY, PYTHONPATH=str(tmp_path), NUMBA_CACHE_DIR=str(cache)) == "42 0 0\n"
    assert not list(cache.rglob("*.bin"))


def test_a_warm_start_compiles_nothing(python, right):
    # The fixture has filled the cache. Compiling takes seconds, reading tens of milliseconds.
    code = (
        FILL
        + """
from fastinit_kernels.fill.dense import fill_kernel
stats = fill_kernel("uniform", "float32").dispatcher.stats
print(sum(stats.cache_hits.values()), sum(stats.cache_misses.values()))
"""
    )
    drawn, _, hits, misses = python(code).split()
    assert drawn == right
    assert (hits, misses) == ("1", "0")


# Settings of Numba's that its code generation reads, and another value for each.
CHANGES_CODE = {
    "BOUNDSCHECK": 1,
    "CPU_FEATURES": "",
    "CPU_NAME": "generic",
    "DEBUGINFO_DEFAULT": 1,
    "DEBUG_ARRAY_OPT_RUNTIME": 1,
    "DEBUG_JIT": 1,
    "DEBUG_NRT": 1,
    "DIFF_IR": 1,
    "DISABLE_INTEL_SVML": 1,
    "ENABLE_AVX": 0,
    "EXTEND_VARIABLE_LIFETIMES": 1,
    "FULL_TRACEBACKS": 1,
    "LLVM_REFPRUNE_FLAGS": "per_bb",
    "LLVM_REFPRUNE_PASS": 0,
    "LOOP_VECTORIZE": 0,
    "OPT": config._OptLevel("max"),  # as an int it is 3, the default
    "SLP_VECTORIZE": 1,
    "USING_SVML": not config.USING_SVML,
}
LEAVES_CODE = {"CACHE_DIR": "x", "CUDA_LOG_SIZE": 1, "NUMBA_NUM_THREADS": 99, "THREADING_LAYER": "omp", "SHOW_HELP": 1}


def test_numbas_settings_are_part_of_the_address_where_they_change_code(monkeypatch):
    def key():
        return cache.Store("name")._key("signature", cpu_target.target_context)

    usual = key()
    for settings, matter in ((CHANGES_CODE, True), (LEAVES_CODE, False)):
        for name, value in settings.items():
            assert getattr(config, name) != value or name == "OPT"
            with monkeypatch.context() as patch:
                patch.setattr(config, name, value)
                assert (key() != usual) == matter, name
    assert key() == usual


def test_checked_code_is_not_served_to_a_process_without_checks(python, tmp_path):
    for switch, hits in (("1", 0), ("0", 0), ("1", 1)):
        assert warned(python(TINY, NUMBA_CACHE_DIR=str(tmp_path), NUMBA_BOUNDSCHECK=switch)) == (hits, "")


def test_where_the_cache_is_not_usable_there_is_one_warning_and_another_folder(python, right, tmp_path):
    code = """
import warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import fastinit as fi
    x = fi.uniform(64, low=-1, high=1, seed=1)
    fi.uniform(64, low=-1, high=1, seed=1, dtype="bfloat16")
ours = [w for w in caught if "compiled kernels" in str(w.message)]
print(x.tobytes().hex()[:64], len(ours), len(caught), ours[0].category.__name__)
assert "NUMBA_CACHE_DIR" in str(ours[0].message)
"""
    (tmp_path / "cache").write_text("")
    (tmp_path / "temporary").mkdir()
    where = {"NUMBA_CACHE_DIR": str(tmp_path / "cache"), "TMPDIR": str(tmp_path / "temporary")}
    assert python(code, **where).split() == [right, "1", "1", "RuntimeWarning"]
    assert len(list((tmp_path / "temporary").rglob("*.bin"))) == 3  # two fills, and the loop they share


# What is compiled lazily in Numba is loaded first: the tests' interpreter may lie where nobody else may look.
DROP = """
import os, numba
numba.njit(lambda x: x + 1)(1)
import fastinit_kernels.machine.jit
os.setgroups([])
os.setgid(54321)
os.setuid(54321)
"""

# (the environment, the folder that serves), for a user without a line in passwd.
HOMES = [
    ({}, "temporary/fastinit-54321"),
    ({"HOME": ""}, "temporary/fastinit-54321"),
    ({"HOME": "/"}, "temporary/fastinit-54321"),
    ({"HOME": "relative"}, "temporary/fastinit-54321"),
    ({"HOME": "{}/nobodys"}, "temporary/fastinit-54321"),
    ({"HOME": "{}/own"}, "own/.cache/fastinit"),
    ({"HOME": "{}/own", "XDG_CACHE_HOME": "relative"}, "own/.cache/fastinit"),
    ({"HOME": "{}/own", "XDG_CACHE_HOME": "{}/own/new/xdg"}, "own/new/xdg/fastinit"),
    ({"XDG_CACHE_HOME": "{}/nobodys"}, "temporary/fastinit-54321"),
]


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="their caches lie elsewhere")
def test_every_kind_of_home_will_do(python, root, public):
    for name, mode in (("temporary", 0o1777), ("own", 0o700), ("nobodys", 0o755)):
        (public / name).mkdir()
        (public / name).chmod(mode)
    os.chown(public / "own", 54321, 54321)
    code = """
import json
from fastinit_kernels.machine.cache import cache_folder
for place in json.loads(sys.argv[1]):
    os.environ = {"TMPDIR": sys.argv[2], **place}
    cache_folder.cache_clear()
    print(cache_folder().parent)
"""
    places = [{name: value.format(public) for name, value in place.items()} for place, _ in HOMES]
    out = python(DROP + "import sys\n" + code, json.dumps(places), public / "temporary", NUMBA_CACHE_DIR="")
    assert out.splitlines() == [str(public / folder) for _, folder in HOMES]


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="their caches lie elsewhere")
@pytest.mark.parametrize("home", [None, ""])
def test_a_home_that_is_not_in_the_environment_is_looked_up(monkeypatch, tmp_path, home):
    monkeypatch.setattr(config, "CACHE_DIR", "")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("HOME", raising=False)
    if home is not None:
        monkeypatch.setenv("HOME", home)
    monkeypatch.setattr("pwd.getpwuid", lambda user: types.SimpleNamespace(pw_dir=str(tmp_path)))
    assert cache._place() == tmp_path / ".cache" / "fastinit"


def test_a_user_without_home_or_name_has_a_cache_for_himself(python, root, public):
    code = DROP + "os.environ.pop('HOME', None)\nos.umask(0)\n" + TINY
    where = {"NUMBA_CACHE_DIR": "", "XDG_CACHE_HOME": "", "TMPDIR": str(public)}
    assert warned(python(code, **where)) == (0, "")
    assert warned(python(code, **where)) == (1, "")
    of_others = {path for path in (public / "fastinit-54321").rglob("*") if path.stat().st_mode & 0o077}
    assert not of_others
    assert {path.stat().st_uid for path in public.rglob("*")} == {54321}


# What is written has the right name and checksum, and runs code in the working directory when it is loaded.
EVIL = """
import os, pickle
from numba.core import serialize
class Evil:
    def __reduce__(self):
        return os.mkdir, ("executed",)
serialize.dumps = lambda _: pickle.dumps(Evil())
"""


def give_away(folder):
    for path in (folder, *folder.rglob("*")):
        os.chown(path, 54321, 54321, follow_symlinks=False)


def link(folder):
    """Move a folder elsewhere and leave a link."""
    folder.rename(folder.with_name("elsewhere"))
    folder.symlink_to("elsewhere")


# What others have done to the folder `fastinit`, and whether it is known by the whole folder.
TRICKS = {
    "another's folder": (give_away, True),
    "another's folder of these sources": (lambda folder: give_away(*folder.iterdir()), True),
    "another's file": (lambda folder: give_away(*folder.rglob("*.bin")), False),
    "writable by others": (lambda folder: folder.chmod(0o702), True),
    "writable by the group": (lambda folder: folder.chmod(0o770), True),
    "sources' folder writable by all": (lambda folder: [inner.chmod(0o777) for inner in folder.iterdir()], True),
    "file writable by others": (lambda folder: [file.chmod(0o602) for file in folder.rglob("*.bin")], False),
    "a link": (link, True),
    "a link to the sources' folder": (lambda folder: link(*folder.iterdir()), True),
    "a link to a file": (lambda folder: link(*folder.rglob("*.bin")), False),
}


@pytest.fixture(scope="module")
def tricked(python, tmp_path_factory):
    """What a process finds in each of the folders: trick -> (folder, (hits, warning))."""
    planted, temporary = (tmp_path_factory.mktemp(name) for name in ("planted", "temporary"))
    python(EVIL + TINY, NUMBA_CACHE_DIR=str(planted))
    folders = {"none": tmp_path_factory.mktemp("cache") / "0"}
    shutil.copytree(planted, folders["none"])
    for trick, (change, _) in TRICKS.items():
        if "another's" in trick and os.geteuid() != 0:
            continue  # only root can give away
        folders[trick] = tmp_path_factory.mktemp("cache") / "0"
        shutil.copytree(planted, folders[trick])
        change(folders[trick] / "fastinit")
    out = python(IN_EACH, json.dumps(list(map(str, folders.values()))), TMPDIR=str(temporary))
    return {trick: (folders[trick], warned(line)) for trick, line in zip(folders, out.splitlines(), strict=True)}


@pytest.mark.skipif(sys.platform == "win32", reason="owners and modes of POSIX")
@pytest.mark.parametrize("trick", TRICKS)
def test_what_others_can_have_written_is_never_executed(tricked, trick):
    if trick not in tricked:
        pytest.skip("needs root")
    folder, (_, message) = tricked[trick]
    assert not (folder / "executed").exists()
    in_another_folder = TRICKS[trick][1]
    assert in_another_folder == (f"fastinit-{os.geteuid()}/" in message)
    assert in_another_folder == ("NUMBA_CACHE_DIR" in message)
    if not in_another_folder:  # then the file has been replaced by the right one
        (file,) = folder.rglob("*.bin")
        assert file.stat().st_uid == os.geteuid()
        assert b"executed" not in file.read_bytes()


def test_the_planted_code_would_run(tricked):
    assert (tricked["none"][0] / "executed").exists()


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="their caches lie elsewhere")
def test_an_unsafe_folder_nobody_named_is_said_too(python, tmp_path):
    (tmp_path / ".cache" / "fastinit").mkdir(parents=True)
    (tmp_path / ".cache" / "fastinit").chmod(0o777)
    (tmp_path / "temporary").mkdir()
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": "", "NUMBA_CACHE_DIR": "", "TMPDIR": str(tmp_path / "temporary")}
    _, message = warned(python(TINY, **home))
    assert f"others can write to: '{tmp_path}/.cache/fastinit'" in message


def test_a_folder_of_an_earlier_version_with_the_usual_mode_will_do(python, tmp_path):
    python(TINY, NUMBA_CACHE_DIR=str(tmp_path))
    for path in tmp_path.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    assert warned(python(TINY, NUMBA_CACHE_DIR=str(tmp_path))) == (1, "")


def test_what_root_has_compiled_serves_everybody(python, root, public):
    # As in a container's image: filled by root, used by any number.
    python(TINY, NUMBA_CACHE_DIR=str(public))
    for path in public.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    assert warned(python(DROP + TINY, NUMBA_CACHE_DIR=str(public))) == (1, "")
    # A kernel that is missing there cannot be kept, which is said.
    found, message = warned(python(DROP + TINY.replace('"tiny"', '"other"'), NUMBA_CACHE_DIR=str(public)))
    assert found == 0
    assert "cannot keep" in message


def test_no_folder_at_all_is_said_once(python, tmp_path):
    (tmp_path / "file").touch()
    nowhere = str(tmp_path / "file")
    code = f"import tempfile; tempfile.tempdir = {nowhere!r}\n" + TINY
    found, message = warned(python(code, NUMBA_CACHE_DIR=nowhere))
    assert found == 0
    assert "compiled again in each process" in message
    assert "NUMBA_CACHE_DIR" in message


def kept(folder):
    return sorted(path.suffix for path in folder.rglob("*") if path.is_file())


def test_a_full_disk_is_said_once_and_leaves_nothing_behind(python, small_disk):
    two = TINY + TINY.replace('"tiny"', '"other"')  # the second fails, too, but that goes without saying
    (small_disk / "filler").write_bytes(bytes(64 << 10))
    first, second = python(two, NUMBA_CACHE_DIR=str(small_disk)).splitlines()
    found, message = warned(first)
    assert found == 0
    assert "No space left on device" in message
    assert warned(second) == (0, "")
    assert kept(small_disk) == [""]


@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")
def test_a_limit_of_files_sizes_is_said_once_and_leaves_nothing_behind(python, tmp_path):
    code = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))\n"
    found, message = warned(python(code + TINY, NUMBA_CACHE_DIR=str(tmp_path)))
    assert found == 0
    assert "File too large" in message
    assert kept(tmp_path) == []


def test_temporary_files_of_killed_processes_are_removed_in_time(python, tmp_path):
    earlier = tmp_path / "fastinit" / "0123456789abcdef"  # another version's
    earlier.mkdir(parents=True)
    (earlier / "tmpold.tmp").touch()
    (earlier / "tmpyoung.tmp").touch()
    two_hours_ago = time.time() - 7200
    os.utime(earlier / "tmpold.tmp", (two_hours_ago, two_hours_ago))
    python(TINY, NUMBA_CACHE_DIR=str(tmp_path))
    assert [file.name for file in earlier.iterdir()] == ["tmpyoung.tmp"]


def test_a_cache_removed_under_a_running_process_is_made_anew(python, tmp_path):
    remove = "import os, shutil; shutil.rmtree(os.environ['NUMBA_CACHE_DIR'])\n"
    cache = tmp_path / "cache"
    out = python(TINY + remove + TINY.replace('"tiny"', '"other"'), NUMBA_CACHE_DIR=str(cache))
    assert [warned(line) for line in out.splitlines()] == [(0, ""), (0, "")]
    assert kept(cache) == [".bin"]


DAMAGE = {
    "empty": lambda whole: b"",
    "foreign": lambda whole: b"\x80\x04something else",
    "cut off": lambda whole: whole[: len(whole) // 2],
    "overwritten": lambda whole: whole[:100] + bytes(100) + whole[200:],
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_compiled_again(python, tmp_path, damage):
    python(TINY, NUMBA_CACHE_DIR=str(tmp_path))
    (file,) = tmp_path.rglob("*.bin")
    file.write_bytes(DAMAGE[damage](file.read_bytes()))
    assert warned(python(TINY, NUMBA_CACHE_DIR=str(tmp_path))) == (0, "")


def test_a_file_under_another_kernels_name_is_compiled_again(python, tmp_path):
    two = TINY + TINY.replace('"tiny"', '"other"').replace("x + 1", "x + 2").replace("tiny(41)", "tiny(40)")
    python(two, NUMBA_CACHE_DIR=str(tmp_path))
    first, second = tmp_path.rglob("*.bin")
    contents = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(contents)
    out = python(two, NUMBA_CACHE_DIR=str(tmp_path))
    assert [warned(line) for line in out.splitlines()] == [(0, "")] * 2


# What may come out of a file whose checksum is right: anything.
NONSENSE = ["3", "('too', 'short')", "(1,) * 9", "Missing()"]


def test_a_whole_file_that_holds_something_else_is_compiled_again(python, tmp_path):
    code = """
import os, pickle, sys, types
from numba.core import serialize
module = sys.modules["gone"] = types.ModuleType("gone")
class Missing: ...
Missing.__module__, module.Missing = "gone", Missing
contents = eval(sys.argv[2])
serialize.dumps = lambda _: pickle.dumps(contents[int(os.path.basename(os.getcwd()))])
"""
    folders = json.dumps([str(tmp_path / str(i)) for i in range(len(NONSENSE))])
    python(code + IN_EACH, folders, f"[{', '.join(NONSENSE)}]")
    assert len(list(tmp_path.rglob("*.bin"))) == len(NONSENSE)
    for hits in (0, 1):
        out = python(IN_EACH, folders)
        assert [warned(line) for line in out.splitlines()] == [(hits, "")] * len(NONSENSE)


def test_processes_that_compile_at_once(python, right, tmp_path):
    together = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", FILL],
            env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for process in together:
        output, errors = process.communicate(timeout=500)
        assert process.returncode == 0, errors
        assert output.split()[0] == right
    assert not list(tmp_path.rglob("*.tmp"))
    assert python(FILL, NUMBA_CACHE_DIR=str(tmp_path)).split()[0] == right
