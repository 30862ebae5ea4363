"""The note beside a partial file: who writes it, the identity of the encode, and what was finished.

A note is a text of JSON objects, one a line, of which later lines take precedence. Lines are added,
never changed, so that a line that was cut by a kill spoils no other. The note is locked while an
encode runs.
"""

from __future__ import annotations

import json
import os
import platform
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from nvcodec.errors import OutputBusyError
from nvcodec.files.lock import FileLock


class Note:
    """The note of a partial file, locked from `lock` on until `release` or `remove`.

    Args:
        path: Path of the note.
        target: Path of the finished file, for messages.

    Attributes:
        path: Path of the note.
        existed: Whether an earlier encode has left it. Valid once it is locked.
    """

    def __init__(self, path: Path, target: Path) -> None:
        self.path, self._target = path, target
        self.existed = False
        self._lock: FileLock | None = None
        self._found = 0

    def lock(self) -> None:
        """Lock the note, which is created if it is missing, and write down who holds it.

        Raises:
            OutputBusyError: If another encode holds it.
            OSError: If it cannot be created or written.
        """
        existed = os.path.lexists(self.path)
        try:
            self._lock = FileLock(self.path)
        except BlockingIOError as error:
            raise OutputBusyError(
                f"{self._target} is being written by {_holder(self.path)}; wait until it ends, or "
                "choose another name"
            ) from error
        self.existed = existed
        self._found = os.fstat(self._lock.descriptor).st_size
        started = datetime.now(timezone.utc).isoformat(sep=" ", timespec="seconds")
        self._append({"holder": {"pid": os.getpid(), "host": platform.node(), "since": started}})

    @property
    def identity(self) -> dict[str, Any] | None:
        """Identity of the encode; None if the note holds none."""
        identity = _read(self.path).get("identity")
        return identity if isinstance(identity, dict) else None

    @property
    def finished(self) -> tuple[int, str] | None:
        """Size in bytes and SHA-256 of the finished file; None if it was not finished."""
        match _read(self.path).get("finished"):
            case {"bytes": int() as size, "sha256": str() as digest}:
                return size, digest
        return None

    @property
    def pictures(self) -> dict[int, str]:
        """SHA-256 of the pictures of segments that are stored, or were about to be, by number."""
        prefix = "pictures of segment "
        rows = _read(self.path)
        return {
            int(name.removeprefix(prefix)): str(digest)
            for name, digest in rows.items()
            if name.startswith(prefix)
        }

    def add_pictures(self, segment: int, digest: str) -> None:
        """Write down the SHA-256 of the pictures of a segment, before it is stored."""
        self._append({f"pictures of segment {segment}": digest})

    def begin(self, identity: dict[str, Any]) -> None:
        """Forget earlier encodes, and write down the identity of a new one, on disk."""
        assert self._lock is not None
        holder = _read(self.path).get("holder")
        os.ftruncate(self._lock.descriptor, 0)
        self._append({"holder": holder, "identity": identity})
        os.fsync(self._lock.descriptor)

    def finish(self, size: int, digest: str) -> None:
        """Write down the size and the SHA-256 of the finished file, before it gets its name."""
        assert self._lock is not None
        self._append({"finished": {"bytes": size, "sha256": digest}})
        os.fsync(self._lock.descriptor)

    def release(self) -> None:
        """Unlock the note and keep it."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def restore(self) -> None:
        """Unlock the note and leave it as it was found."""
        if self._lock is None:
            return
        if self.existed:
            os.ftruncate(self._lock.descriptor, self._found)
            self.release()
        else:
            self.remove()

    def remove(self) -> None:
        """Remove the note, because there is nothing to resume, and unlock it."""
        if self._lock is not None:
            self._lock.remove()
            self._lock = None

    def _append(self, row: dict[str, Any]) -> None:
        """Write a line at the end, behind what a killed process may have left of one."""
        assert self._lock is not None
        descriptor = self._lock.descriptor
        size = os.lseek(descriptor, 0, os.SEEK_END)
        line = json.dumps(row, sort_keys=True) + "\n"
        if size:
            os.lseek(descriptor, size - 1, os.SEEK_SET)
            if os.read(descriptor, 1) != b"\n":
                line = "\n" + line
        view = memoryview(line.encode("ascii"))
        while view:
            view = view[os.write(descriptor, view) :]


def _read(path: Path) -> dict[str, Any]:
    """Return the rows of a note as one; empty if there is none. Damaged lines are skipped."""
    rows: dict[str, Any] = {}
    try:
        text = path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return rows
    for line in text.splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            rows.update(row)
    return rows


def _holder(path: Path) -> str:
    """Describe who holds the lock of a note, as far as the note says."""
    match _read(path).get("holder"):
        case {"pid": pid, "host": host, "since": since}:
            return f"process {pid} on {host} since {since}"
    return "another process"
