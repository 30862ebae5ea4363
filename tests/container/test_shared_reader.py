"""Readers that are shared by threads, inherited by a fork, or closed in the middle of a read."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from nvcodec.container import Reader, Writer
from nvcodec.errors import ClosedError, ConfigError

WAIT = 20

# Both processes read all segments many times; the child says with its exit code whether all was right.
FORKED = """
import os, sys
from nvcodec.container import Reader
path, how = sys.argv[1:]
def read_all(reader):
    for _ in range(300):
        for number in range(4):
            payload = reader.segment(number).payload
            if payload != bytes([number]) * 40000:
                raise AssertionError(number)
with open(path, "rb") as file, Reader({"path": path, "file": file}[how]) as reader:
    child = os.fork()
    if not child:
        try:
            read_all(reader)
        except BaseException as error:
            print(repr(error)[:300], file=sys.stderr)
            os._exit(1)
        os._exit(0)
    read_all(reader)
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.fixture
def large(tmp_path, samples):
    """A file of four segments of 40 kB, more than buffers of files hold."""
    path = tmp_path / "a.nvc"
    with Writer(path) as writer:
        writer.header(samples.HEADER)
        for number, segment in enumerate(samples.SEGMENTS):
            writer.segment(replace(segment, payload=bytes([number]) * 40000))
        writer.finish()
    return path


class Wrapped(io.RawIOBase):
    """A file of which only `seek` and `read` are known, and each may be interrupted."""

    def __init__(self, file) -> None:
        self._file = file
        self.entered, self.go_on = threading.Event(), threading.Event()
        self.go_on.set()

    def seekable(self):
        return True

    def seek(self, offset, whence=0):
        return self._file.seek(offset, whence)

    def read(self, count=-1):
        self.entered.set()
        assert self.go_on.wait(WAIT)
        return self._file.read(count)


@pytest.mark.parametrize("kind", ["path", "contents", "file", "wrapped", "pipe"])
def test_threads_read_from_any_source(large, kind):
    with open(large, "rb") as file:
        pipe = Wrapped(io.BytesIO(large.read_bytes()))
        pipe.seekable = lambda: False
        sources = {"path": large, "contents": large.read_bytes(), "file": file,
                   "wrapped": Wrapped(file), "pipe": pipe}  # fmt: skip
        with Reader(sources[kind]) as reader, ThreadPoolExecutor(4) as pool:
            read = reader.bytes_read
            reader._last = None

            def payloads(place):
                numbers = [(place + k) % 4 for k in range(100)]
                return all(reader.payload(n) == bytes([n]) * 40000 for n in numbers)

            interval = sys.getswitchinterval()
            sys.setswitchinterval(1e-5)
            try:
                assert all(pool.map(payloads, range(4)))
            finally:
                sys.setswitchinterval(interval)
            assert reader.complete and reader.bytes_read > read


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="needs fork")
@pytest.mark.parametrize("how", ["path", "file"])
def test_both_processes_read_after_a_fork(large, how):
    done = subprocess.run(
        [sys.executable, "-c", FORKED, large, how], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_position_that_two_processes_share_is_not_used(large):
    with open(large, "rb") as file, Reader(Wrapped(file)) as reader:
        reader._source.after_fork()  # what a child calls first
        with pytest.raises(ConfigError, match="file object, whose position"):
            reader.segment(0)
    with Reader(io.BytesIO(large.read_bytes())) as reader:
        reader._source.after_fork()
        assert reader.segment(3).payload[0] == 3


def test_closing_in_the_middle_of_a_read(large):
    with open(large, "rb") as inner:
        file = Wrapped(inner)
        reader = Reader(file)
        file.entered.clear()
        file.go_on.clear()
        with ThreadPoolExecutor(1) as pool:
            reading = pool.submit(reader._source.read, 0, 100)
            assert file.entered.wait(WAIT)
            reader.close()
            file.go_on.set()
            assert len(reading.result(WAIT)) == 100
        with pytest.raises(ClosedError):
            reader.segment(0)


def test_readers_are_pickled_by_path_or_contents(large):
    for source in (large, str(large), large.read_bytes()):
        with Reader(source) as reader, pickle.loads(pickle.dumps(reader)) as again:
            assert again.segment(2) == reader.segment(2)
    with open(large, "rb") as file, Reader(file) as reader, pytest.raises(ConfigError):
        pickle.dumps(reader)
