"""What several test files share: an interpreter of their own, and the way to import the twin."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

# `import twin`, `import golden`: pytest's importlib mode leaves this folder out of the path.
sys.path.insert(0, str(Path(__file__).parent))

# What a shell starts in the background ignores Ctrl-C, and so would the children whose answer to it is tested.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config, items):
    """Leave out what takes minutes, unless this is CI."""
    if os.environ.get("FASTINIT_CI", "") in ("", "0"):
        slow = [item for item in items if item.get_closest_marker("ci")]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]


def pytest_xdist_auto_num_workers(config):
    """Run all tests in several processes, few ones in this: each process compiles and loads for itself."""
    everything = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    return min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2, 4) if everything else 0


@pytest.fixture(scope="session")
def python():
    """Run code in a fresh interpreter that turns warnings into errors, and return what it prints.

    The child shares the compiled kernels of this process unless `env` says otherwise (NUMBA_CACHE_DIR).
    """

    def run(code, *arguments, options=("-W", "error"), **env):
        done = subprocess.run(
            [sys.executable, *options, "-c", code, *map(str, arguments)],
            env={**os.environ, "TESTS": str(Path(__file__).parent), **env},
            capture_output=True,
            text=True,
            timeout=500,
        )
        assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    return run


@pytest.fixture
def small_disk(tmp_path):
    """Return the folder of a file system of its own, with room for 64 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = shutil.which("mount")
    if mount is None or subprocess.run([mount, "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder]).returncode:
        pytest.skip("this user may not mount a tmpfs")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.fixture
def root():
    """Skip where this is not root, who alone can give files away and become another user."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("needs root")


@pytest.fixture
def public():
    """Return a folder that every user can reach and write to, as /tmp; pytest's own are private."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o1777)
        yield Path(folder)
