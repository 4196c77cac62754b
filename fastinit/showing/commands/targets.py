"""Files that a command is to write: whether it may, before anything is computed."""

import errno
import os
from collections.abc import Sequence
from pathlib import Path

from ...files import path_name
from ...words import needs, shown

PICTURES = (".png", ".svg", ".pdf")


def check_target(option: str, path: Path | None, suffixes: Sequence[str], force: bool) -> None:
    """Refuse a file of another kind, one that is there already, and a folder that takes none."""
    if path is None:
        return
    try:
        name = path_name(path)
    except (TypeError, ValueError) as error:
        raise type(error)(str(error).replace("argument 'path'", f"argument '{option}'")) from None
    if suffixes is PICTURES:
        with needs("matplotlib", extra="plot"):
            import matplotlib  # noqa: F401
    if path.suffix.lower() not in suffixes and not _is_device(name):
        raise ValueError(f"argument '{option}' must end in {' or '.join(suffixes)}, got {shown(name)}")
    if os.path.isfile(name) and not force:
        raise FileExistsError(errno.EEXIST, "File exists (--force replaces it)", name)
    if os.path.isdir(name):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
    if not os.path.lexists(name):
        check_folder(os.path.dirname(name) or ".", name)


def check_folder(folder: str, name: str) -> None:
    """Refuse a name in a folder that is not there, or that takes no file."""
    if len(os.fsencode(os.path.basename(name))) > 255:
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), name)
    if not os.path.isdir(folder):
        code = errno.ENOTDIR if os.path.lexists(folder) else errno.ENOENT
        raise OSError(code, os.strerror(code), name)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), name)


def check_new_folder(folder: Path) -> None:
    """Refuse a folder that cannot be made, or that takes no file."""
    name = path_name(folder)
    above = os.path.abspath(name)
    while not os.path.lexists(above):
        above = os.path.dirname(above)
    check_folder(above, name)


def _is_device(name: str) -> bool:
    return os.path.exists(name) and not os.path.isfile(name) and not os.path.isdir(name)
