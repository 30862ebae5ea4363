"""Publication of a finished file: it takes the name of its target in one step."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

_NO_LINKS = {errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK}


def publish(finished: Path, destination: Path, *, overwrite: bool) -> None:
    """Rename a finished file or folder to its destination, on the same filesystem.

    A file that is replaced hands on its permissions, and its owner where that is allowed. If the
    process is killed on the way, the file has its old name, both names or its new name, and is
    complete in each case.

    Args:
        finished: The complete file or folder.
        destination: Path that it gets. A folder there must be empty.
        overwrite: Whether a file there is replaced.

    Raises:
        FileExistsError: If something is there and must not be replaced.
        OSError: If renaming fails.
    """
    if overwrite:
        hand_on_permissions(destination, finished)
        os.replace(finished, destination)
    elif finished.is_dir():
        hand_on_permissions(destination, finished)
        try:
            os.rename(finished, destination)  # replaces nothing but an empty folder
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise
            raise FileExistsError(errno.EEXIST, "exists", str(destination)) from error
    else:
        _rename_without_replacing(finished, destination)


def _rename_without_replacing(finished: Path, destination: Path) -> None:
    """Rename a file, unless something has the name; a rename alone would replace it."""
    try:
        os.link(finished, destination)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # exFAT and some network filesystems have no links: a file that appears after this check is
        # replaced, except on Windows.
        if os.path.lexists(destination):
            raise FileExistsError(errno.EEXIST, "exists", str(destination)) from error
        os.rename(finished, destination)
    else:
        os.unlink(finished)


def hand_on_permissions(old: Path, new: Path) -> None:
    """Give a file or folder the permissions of the one that it replaces, if there is one.

    Args:
        old: File or folder that is replaced; nothing happens if there is none.
        new: File or folder that takes its place.
    """
    with suppress(OSError):  # not every filesystem has them, and not everybody may give files away
        before, now = os.stat(old), os.stat(new)
        if hasattr(os, "chown") and (before.st_uid, before.st_gid) != (now.st_uid, now.st_gid):
            with suppress(OSError):
                os.chown(new, before.st_uid, before.st_gid)
        os.chmod(new, stat.S_IMODE(before.st_mode) & 0o777)
