"""Two encodes never write to one target: the second is refused and told who the first is."""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import nvcodec
from nvcodec.encoding.note import Note
from nvcodec.errors import OutputBusyError
from nvcodec.files import lock as locking

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kills by signal")

_HOLDER = """
import sys
from pathlib import Path
from nvcodec.encoding.note import Note
note = Note(Path(sys.argv[1]), Path("a.nvc"))
note.lock()
print("locked", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def _held(note: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a process that holds the lock of a note, as a running encode does."""
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(note)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        try:
            yield holder
        finally:
            holder.kill()


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("options", [{}, {"overwrite": True}, {"resume": True}])
def test_the_second_encode_to_a_target_is_refused(clip, tmp_path, settings, options):
    target, seen = tmp_path / "a.nvc", []

    def start_another(progress: nvcodec.Progress) -> None:
        if progress.segment == 1 and not seen:
            before = _contents(tmp_path)
            with pytest.raises(OutputBusyError) as refusal:
                nvcodec.encode(clip, target, settings(seed=1), measure=False, **options)
            seen.append(str(refusal.value))
            assert _contents(tmp_path) == before

    nvcodec.encode(clip, target, settings(), measure=False, on_progress=start_another)
    assert f"process {os.getpid()} on {platform.node()} since 20" in seen[0]
    assert list(_contents(tmp_path)) == ["a.nvc"] and nvcodec.inspect(target).complete


def test_a_lock_ends_with_its_process(clip, stream, tmp_path, settings):
    target, link = tmp_path / "a.nvc", tmp_path / "link.nvc"
    link.symlink_to("a.nvc")
    with _held(tmp_path / "a.nvc.partial.json") as holder:
        for path in (target, link):
            with pytest.raises(OutputBusyError, match=f"process {holder.pid} on .* since 20"):
                nvcodec.encode(clip, path, settings(), overwrite=True)
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        nvcodec.encode(clip, target, settings(), measure=False)
    assert target.read_bytes() == stream.read_bytes()
    assert sorted(_contents(tmp_path)) == ["a.nvc", "link.nvc"]


def test_all_files_of_a_ladder_are_locked_or_none(clip, tmp_path, settings):
    config = settings(parameters=None, ladder=(3000, 4500, 7000))
    with _held(tmp_path / "a-4.5kB.nvc.partial.json"):
        with pytest.raises(OutputBusyError, match=r"a-4\.5kB\.nvc is being written by process"):
            nvcodec.encode_ladder(clip, tmp_path / "a.nvc", config, overwrite=True)
        assert list(_contents(tmp_path)) == ["a-4.5kB.nvc.partial.json"]
        nvcodec.encode(clip, tmp_path / "a-3kB.nvc", settings(), measure=False)


def test_a_forked_child_does_not_keep_a_lock(tmp_path):
    """A child that is forked without `exec`, as by a host program, outlives the encoder."""
    ready, tell = os.pipe()
    wait, end = os.pipe()
    encoder = os.fork()
    if not encoder:
        Note(tmp_path / "note", tmp_path / "a.nvc").lock()
        if not os.fork():
            os.close(end)
            os.write(tell, b"x")
            os.read(wait, 1)
            os._exit(0)
        signal.pause()
    assert os.read(ready, 1) == b"x"
    os.kill(encoder, signal.SIGKILL)
    os.waitpid(encoder, 0)
    note = Note(tmp_path / "note", tmp_path / "a.nvc")
    note.lock()
    note.remove()
    for descriptor in (ready, tell, wait, end):  # which ends the child
        os.close(descriptor)


def test_a_filesystem_without_locks_is_said(stream, clip, tmp_path, settings, monkeypatch, caplog):
    import fcntl

    def none(*arguments: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    nvcodec.encode(clip, tmp_path / "a.nvc", settings(), measure=False)
    assert (tmp_path / "a.nvc").read_bytes() == stream.read_bytes()
    assert "its filesystem has no locks" in caplog.text


def test_a_lock_is_on_the_file_that_has_the_name(tmp_path, monkeypatch):
    """A file that its holder renames between opening and locking is not the one that is locked."""
    path, real = tmp_path / "a", locking._lock

    def late(descriptor: int, name: Path) -> None:
        monkeypatch.setattr(locking, "_lock", real)
        path.rename(tmp_path / "published")
        real(descriptor, name)

    monkeypatch.setattr(locking, "_lock", late)
    lock = locking.FileLock(path)
    assert os.path.samestat(os.fstat(lock.descriptor), path.stat())
    lock.release()


@pytest.mark.parametrize("name", ["out.mkv", "out.y4m", "pictures"])
def test_the_second_decode_to_a_target_is_refused(stream, tmp_path, name):
    target, refused = tmp_path / name, []

    def start_another(done: int, total: int) -> None:
        with pytest.raises(OutputBusyError, match="is being written by another process"):
            nvcodec.decode(stream, target, overwrite=True)
        refused.append(done)

    decoded = nvcodec.decode(stream, target, overwrite=True, on_progress=start_another)
    assert refused and decoded.frames == 12
    assert [path.name for path in tmp_path.iterdir()] == [name]
