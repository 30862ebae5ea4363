"""Locks on files and folders, which end with the process that holds them, however it ends.

A lock belongs to one open file description. Child processes never keep it alive: descriptors are
closed by `exec`, and by hand in a child that is forked without it.
"""

from __future__ import annotations

import errno
import logging
import os
import sys
from contextlib import suppress
from pathlib import Path

logger = logging.getLogger(__name__)

_UNSUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP}
_FLAGS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
# Position of the byte that is locked on Windows, where a locked byte cannot be read.
_FAR = 1 << 30

_held: set[int] = set()


class FileLock:
    """A file or folder that this process has locked. It is created if it is missing.

    Args:
        path: File or folder.
        folder: Whether it is a folder.

    Raises:
        BlockingIOError: If another process, or another lock of this one, holds it.
        OSError: If it cannot be created or opened.

    Attributes:
        path: The file or folder.
        descriptor: Descriptor of the open file, for reading and writing.
        created: Whether it was missing, or an empty file.
    """

    def __init__(self, path: Path, *, folder: bool = False) -> None:
        self.path = path
        while True:
            self.descriptor = _open(path, folder)
            try:
                _lock(self.descriptor, path)
                current = self._is_current()
            except BaseException:
                os.close(self.descriptor)
                raise
            if current:
                break
            # The holder before has renamed or removed the file after it was opened here.
            os.close(self.descriptor)
        self.created = os.fstat(self.descriptor).st_size == 0
        _held.add(self.descriptor)

    @classmethod
    def of_new_file(cls, path: Path) -> FileLock:
        """Lock an empty file that has no other name; one left by a killed process is removed."""
        while True:
            lock = cls(path)
            status = os.fstat(lock.descriptor)
            if status.st_size == 0 and status.st_nlink == 1:
                return lock
            lock.remove()

    def release(self) -> None:
        """Unlock and close the file; a second call does nothing."""
        if self.descriptor in _held:
            _held.remove(self.descriptor)
            _unlock(self.descriptor)
            os.close(self.descriptor)
        self.descriptor = -1

    def remove(self) -> None:
        """Remove the file, then unlock it; a second call does nothing."""
        if self.descriptor in _held and os.name != "nt":
            self.path.unlink(missing_ok=True)
            self.release()
        elif self.descriptor in _held:  # Windows removes no open file
            self.release()
            self.path.unlink(missing_ok=True)

    def _is_current(self) -> bool:
        """Return whether the path still names the locked file."""
        try:
            return os.path.samestat(os.fstat(self.descriptor), os.lstat(self.path))
        except FileNotFoundError:
            return False


def _open(path: Path, folder: bool) -> int:
    if folder:
        path.mkdir(exist_ok=True)
        return os.open(path, os.O_RDONLY | _FLAGS)
    return os.open(path, os.O_RDWR | os.O_CREAT | _FLAGS, 0o666)


def _lock(descriptor: int, path: Path) -> None:
    """Lock an open file without waiting."""
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(descriptor, _FAR, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            os.lseek(descriptor, 0, os.SEEK_SET)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
            raise BlockingIOError(errno.EAGAIN, "locked by another process", str(path)) from error
        # NFS locks no folder: its locks need a file that is open for writing.
        if error.errno not in _UNSUPPORTED and error.errno != errno.EBADF:
            raise
        logger.warning(
            "%s: its filesystem has no locks; another process that writes to the same target is "
            "not noticed",
            path,
        )


def _unlock(descriptor: int) -> None:
    """Unlock a file, also for a child that was forked and has not closed it yet."""
    if sys.platform != "win32":
        import fcntl

        with suppress(OSError):  # a filesystem without locks
            fcntl.flock(descriptor, fcntl.LOCK_UN)


def _close_in_child() -> None:
    """Close the descriptors that a forked process shares with its parent, who keeps the locks."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_in_child)
