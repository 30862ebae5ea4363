"""Random access to the bytes of an `.nvc` file, and the CRC check of its sections."""

from __future__ import annotations

import os
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from io import BufferedRandom, BufferedReader, BytesIO, FileIO
from threading import Lock
from typing import BinaryIO

from nvcodec.container.fields import Cursor
from nvcodec.container.framing import CRC_SIZE, MAX_FRAMING, Framing, read_framing
from nvcodec.container.section_types import CONDITIONING_TOKENS, TOKENS
from nvcodec.errors import (
    ChecksumError,
    ClosedError,
    ConfigError,
    TruncatedStreamError,
    VideoError,
)
from nvcodec.files.urls import refuse_url
from nvcodec.host.forking import renew_after_fork

_CHUNK = 2**20


def open_seekable(source: str | os.PathLike[str] | bytes | BinaryIO, stack: ExitStack) -> BinaryIO:
    """Open a source as a file that can seek; a pipe is copied to a temporary file first.

    Args:
        source: Path, bytes, or binary file.
        stack: Closes the files that are opened here; a file that was given is not closed.
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        return stack.enter_context(BytesIO(source))
    if isinstance(source, (str, os.PathLike)):
        refuse_url(source)
        source = stack.enter_context(open(source, "rb"))  # noqa: SIM115
    if source.seekable():
        return source
    with ExitStack() as spooling:
        spool = spooling.enter_context(tempfile.TemporaryFile())
        shutil.copyfileobj(source, spool)
        stack.push(spooling.pop_all())
    return spool


@dataclass(frozen=True)
class StoredFile(os.PathLike[str]):
    """Path of a file that another process opens again, and what tells whether it is still the same.

    Attributes:
        path: Absolute path.
        size: Size of the file, bytes.
        inode: Number of the file in its file system.
        modified: Time of its last modification, nanoseconds.
    """

    path: str
    size: int
    inode: int
    modified: int

    @classmethod
    def of(cls, path: str | os.PathLike[str], file: BinaryIO) -> StoredFile:
        """Return the description of an open file.

        Args:
            path: Path that the file was opened by.
            file: The file.
        """
        state = os.fstat(file.fileno())
        return cls(
            os.fsdecode(os.path.abspath(path)), state.st_size, state.st_ino, state.st_mtime_ns
        )

    def __fspath__(self) -> str:
        return self.path

    def check(self, file: BinaryIO) -> None:
        """Check that an open file is the one described.

        Raises:
            VideoError: If it is another one, or was changed.
        """
        found = StoredFile.of(self.path, file)
        if found != self:
            raise VideoError(
                f"{self.path}: expected the file of {self.size} bytes that was open when the "
                f"decoder was copied, found {found.size} bytes, or another or a newer file; open "
                "the new file with nvcodec.open"
            )


class ByteSource:
    """Random access to a seekable file, which is never read into memory as a whole.

    Several threads may read at a time: positions are not shared where the system reads at a given
    position, and are locked elsewhere. After a fork, both processes may go on reading.

    Args:
        file: Binary file opened for reading; its first byte is the first of the stream.
        opened: Closes the file; None leaves it open.
        origin: Contents or path by which another process can open the same file; None if it cannot.

    Attributes:
        size: Size of the file, bytes.
        bytes_read: Bytes read so far; bytes that are read twice count twice.
    """

    def __init__(
        self,
        file: BinaryIO,
        opened: ExitStack | None = None,
        origin: bytes | StoredFile | None = None,
    ) -> None:
        self._file, self._opened, self._origin = file, opened, origin
        self.size = file.seek(0, os.SEEK_END)
        self.bytes_read = 0
        self._positioned = _reads_at_positions(file, owned=opened is not None)
        self._closed = self._inherited = False
        self._new_locks()
        renew_after_fork(self)

    @classmethod
    def open(cls, source: str | os.PathLike[str] | bytes | BinaryIO) -> ByteSource:
        """Open a source; a pipe is copied to a temporary file first.

        Args:
            source: Path, bytes, or binary file. A file that was given is not closed by `close`.

        Raises:
            VideoError: If the source is a `StoredFile` that has changed.
        """
        origin: bytes | StoredFile | None = None
        with ExitStack() as stack:
            if isinstance(source, (bytes, bytearray, memoryview)):
                source = origin = bytes(source)
            file = open_seekable(source, stack)
            if isinstance(source, StoredFile):
                source.check(file)
                origin = source
            elif isinstance(source, (str, os.PathLike)) and file.name == os.fspath(source):
                origin = StoredFile.of(source, file)  # else it is the copy of a pipe
            if file is source:
                return cls(file)
            opened = cls(file, stack, origin)
            opened._opened = stack.pop_all()
            return opened

    def _new_locks(self) -> None:
        self._lock, self._position_lock = Lock(), Lock()
        self._reading = 0  # calls of `read` at this moment

    def after_fork(self) -> None:
        """Renew the locks; the position of a file object is now shared with another process."""
        self._new_locks()
        self._inherited = True

    def reopenable(self) -> bytes | StoredFile:
        """Return the contents or the path by which another process can open the same file.

        Raises:
            ClosedError: If the file is closed.
            ConfigError: If the source is a pipe or a file object.
        """
        self.check_open()
        if self._origin is None:
            raise ConfigError(
                "expected a file opened by its path, or by its contents, to be copied to another "
                "process, found a file object or a pipe, which only this process can read; open "
                "the path instead"
            )
        return self._origin

    def check_open(self) -> None:
        """Raise an error if the file is closed.

        Raises:
            ClosedError: If it is closed.
        """
        if self._closed:
            raise ClosedError("the .nvc file is closed; open it again to read from it")

    def close(self) -> None:
        """Close the file if it was opened here. Calls of `read` in other threads still end well."""
        with self._lock:
            self._closed = True
            self._release()

    def _release(self) -> None:
        """Close the file once it is closed and no thread reads; called with the lock held."""
        if self._closed and not self._reading and self._opened is not None:
            self._opened.close()

    def read(self, offset: int, count: int) -> bytes:
        """Read exactly `count` bytes at `offset`.

        Raises:
            TruncatedStreamError: If the file is shorter; checked before anything is allocated.
            ClosedError: If the file is closed.
            ConfigError: If the source is a file object, and this process a fork of the one that
                opened it.
        """
        data = b""
        with self._lock:
            self.check_open()
            self._reading += 1
        try:
            if 0 <= offset <= self.size - count:
                data = self._read_at(offset, count)
        finally:
            with self._lock:
                self._reading -= 1
                self.bytes_read += len(data)
                self._release()
        if len(data) != count:
            raise TruncatedStreamError(
                f"byte {offset}: {count} bytes expected, the file ends at byte {self.size}"
            )
        return data

    def _read_at(self, offset: int, count: int) -> bytes:
        """Read up to `count` bytes at `offset`, fewer only at the end of the file."""
        if getattr(self._file, "closed", False):
            raise ClosedError("the file object of the .nvc file is closed; open it again")
        if self._positioned:
            return _read_positioned(self._file.fileno(), offset, count)
        if self._inherited and type(self._file) is not BytesIO:
            raise ConfigError(
                "expected a file opened by its path, or by its contents, in a forked process, "
                "found a file object, whose position both processes would move; open the path "
                "instead, or open it in each process"
            )
        with self._position_lock:
            self._file.seek(offset)
            return self._file.read(count)

    def chunks(self, offset: int, count: int) -> Iterator[bytes]:
        """Read the same bytes as `read`, at most 1 MiB at a time."""
        for start in range(offset, offset + count, _CHUNK):
            yield self.read(start, min(_CHUNK, offset + count - start))

    def framing(self, offset: int) -> Framing:
        """Read type and length of the section at `offset`, and check that it ends in the file.

        Raises:
            BitstreamError: If no section can start here.
            TruncatedStreamError: If the section is longer than the file.
        """
        data = self.read(offset, max(0, min(MAX_FRAMING, self.size - offset)))
        framing = read_framing(data, offset)
        if framing.end > self.size:
            raise TruncatedStreamError(
                f"{framing.kind} section, byte {offset}: ends at byte {framing.end}, "
                f"the file at byte {self.size}"
            )
        return framing

    def check_crc(self, framing: Framing, *, before: int = 0) -> None:
        """Compare a section with its CRC without holding it in memory.

        Args:
            framing: The section.
            before: Number of bytes before it that the CRC also covers.

        Raises:
            ChecksumError: If they differ.
        """
        start, crc, tail = framing.offset - before, 0, b""
        for chunk in self.chunks(start, framing.end - start):
            # The last bytes are the CRC itself; they may be spread over two chunks.
            data = tail + chunk
            crc, tail = zlib.crc32(memoryview(data)[:-CRC_SIZE], crc), data[-CRC_SIZE:]
        stored = int.from_bytes(tail, "little")
        if crc != stored:
            raise _mismatch(framing, crc, stored)

    def payload(self, framing: Framing) -> Cursor:
        """Read the payload of a section without checking its CRC."""
        data = self.read(framing.payload_offset, framing.payload_size)
        return Cursor(data, section=framing.kind, offset=framing.payload_offset)

    def checked_payload(self, framing: Framing) -> Cursor:
        """Read a section once, compare it with its CRC and return its payload.

        Raises:
            ChecksumError: If they differ.
        """
        data = self.read(framing.offset, framing.size)
        crc, stored = zlib.crc32(data[:-CRC_SIZE]), int.from_bytes(data[-CRC_SIZE:], "little")
        if crc != stored:
            raise _mismatch(framing, crc, stored)
        payload = data[framing.payload_offset - framing.offset : -CRC_SIZE]
        return Cursor(payload, section=framing.kind, offset=framing.payload_offset)

    def payload_prefix(self, framing: Framing, count: int) -> Cursor:
        """Read at most the first `count` bytes of a payload."""
        data = self.read(framing.payload_offset, min(count, framing.payload_size))
        return Cursor(data, section=framing.kind, offset=framing.payload_offset)


def _reads_at_positions(file: BinaryIO, *, owned: bool) -> bool:
    """Return whether a file can be read at positions without moving its own position.

    Args:
        file: The file.
        owned: Whether nobody else writes to it, so that no bytes wait in a buffer.
    """
    raw = file.raw if isinstance(file, (BufferedReader, BufferedRandom)) else file
    readable = type(file) in (BufferedReader, FileIO) or (owned and type(file) is BufferedRandom)
    return readable and type(raw) is FileIO and hasattr(os, "pread")


def _read_positioned(descriptor: int, offset: int, count: int) -> bytes:
    """Read up to `count` bytes at `offset`, fewer only at the end of the file."""
    data = os.pread(descriptor, count, offset)
    if len(data) in (0, count):
        return data
    parts = [data]  # the system reads at most 2 GiB at a time, and fewer after a signal
    while data and len(data) < count:
        offset, count = offset + len(data), count - len(data)
        data = os.pread(descriptor, count, offset)
        parts.append(data)
    return b"".join(parts)


def _mismatch(framing: Framing, crc: int, stored: int) -> ChecksumError:
    is_tokens = framing.kind in (TOKENS, CONDITIONING_TOKENS)
    lost = "tokens" if is_tokens else "frames or packets"
    return ChecksumError(
        f"{framing.kind} section, byte {framing.offset}: CRC-32 is {crc:08x}, "
        f"the file says {stored:08x}; {lost} in it are lost"
    )
