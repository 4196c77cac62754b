"""Caches in odd places: no home, no name, folders of others, of everybody, read-only."""

# ruff: noqa: E501 (a row is a line)

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

from faults import work
from faults.trial import Fault, Trial, require

NOBODY = 54321


def needs_root() -> str:
    """Why not, for all but root."""
    return "" if hasattr(os, "geteuid") and os.geteuid() == 0 else "needs root"


def trial_of(prepare: Callable[[Trial, Path], None], home: str | None, warned: bool) -> Callable[[Trial], None]:
    """Compile as another user, whose home is prepared; what others can have written must not be unpickled."""

    def trial(t: Trial) -> None:
        temporary = Path(tempfile.mkdtemp(dir="/tmp"))  # a folder that every user can reach
        os.chmod(temporary, 0o1777)
        try:
            t.fork(work.compile_small, t.outside).ended()
            public = temporary / "home"
            public.mkdir()
            prepare(t, public)
            before, prepared = _state(public), {*public.rglob("*")}
            t.fork(_as_nobody, home and home.format(public), temporary, warned).ended()
            require(_state(public).items() >= before.items(), "files of others have changed")
            t.fork(_as_nobody, home and home.format(public), temporary, warned).ended()
            made = {*temporary.rglob("*")} - {public, *prepared}
            require(not any(path.stat().st_mode & 0o022 for path in made), f"others can write there: {made}")
        finally:
            shutil.rmtree(temporary)

    return trial


def _state(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Owner, mode and content of what belongs to somebody else."""
    return {
        str(path): (path.stat().st_uid, path.stat().st_mode, path.read_bytes() if path.is_file() else b"")
        for path in folder.rglob("*")
        if path.stat().st_uid != NOBODY
    }


def _as_nobody(home: str | None, temporary: Path, warned: bool) -> None:
    import numba

    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    os.umask(0)
    for name in ("HOME", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR"):
        os.environ.pop(name, None)
    if home is not None:
        os.environ["HOME"] = home
    os.environ["TMPDIR"] = tempfile.tempdir = str(temporary)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        work.compile_small("")  # type: ignore[arg-type]
    assert not numba.config.CACHE_DIR
    if len(caught) != int(warned):
        raise AssertionError([str(warning.message) for warning in caught])


def _nothing(t: Trial, home: Path) -> None:
    os.chown(home, NOBODY, NOBODY)


def _cache(owner: int, mode: int, owned_home: bool = True) -> Callable[[Trial, Path], None]:
    """A cache with kernels, below a home of the user's, with that owner and mode."""

    def prepare(t: Trial, home: Path) -> None:
        folder = home / ".cache" / "fastinit"
        shutil.copytree(t.outside / "fastinit", folder)
        for path in (home, home / ".cache"):
            os.chown(path, NOBODY, NOBODY)
        for path in (folder, *folder.rglob("*")):
            os.chown(path, owner, owner)
            path.chmod(mode if path.is_dir() else mode & 0o666)

    return prepare


KEPT = "right values; nothing of others is executed or changed; one warning"
SAME = "right values, no warning; kernels are kept in a private folder"
FAULTS = (
    Fault("No HOME and a uid without a passwd entry", "umask 0", SAME, 1, 6, trial_of(_nothing, None, False), needs_root),
    Fault("HOME that belongs to somebody else", "umask 0", SAME, 1, 6, trial_of(lambda t, home: None, "{}", False), needs_root),
    Fault("A cache folder of another user", "with kernels in it", KEPT, 1, 6, trial_of(_cache(NOBODY + 1, 0o755), "{}", True), needs_root),
    Fault("A cache folder that all may write to", "with kernels in it", KEPT, 1, 6, trial_of(_cache(NOBODY, 0o777), "{}", True), needs_root),
    Fault("A read-only cache of root's", "complete", "right values", 1, 6, trial_of(_cache(0, 0o555), "{}", False), needs_root),
    Fault("A cache folder without the right to write", "complete", "right values", 1, 6, trial_of(_cache(NOBODY, 0o555), "{}", False), needs_root),
)  # fmt: skip
