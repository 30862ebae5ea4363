"""Decoders that are shared by threads, inherited by a fork, pickled, or closed."""

from __future__ import annotations

import copy
import functools
import io
import os
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import nvcodec
from nvcodec.decoding import segment_cache
from nvcodec.errors import ClosedError, ConfigError, NvcodecError, VideoError
from nvcodec.host import forking
from nvcodec.models.latentgrid import config, gop, subbands
from tests.decoding.stress_shared_decoder import STREAMS, Pictures, by_threads

WAIT = 20  # seconds, after which a test fails rather than hangs
LATENTGRID = STREAMS / "latentgrid-predicted-yuv420" / "stream.nvc"
NERV = STREAMS / "nerv-rgb" / "stream.nvc"  # two segments of 3 and 2 frames


@pytest.fixture
def in_threads():
    """Returns a function that calls functions at the same time and returns their results."""

    def call(*functions):
        with ThreadPoolExecutor(len(functions)) as pool:
            return [task.result(WAIT) for task in [pool.submit(f) for f in functions]]

    return call


@pytest.mark.parametrize("family", ["latentgrid", "nirvana", "hnerv-both", "nerv-", "ngp"])
def test_four_threads_get_the_right_pictures(family):
    paths = sorted(STREAMS.glob(f"{family}*/stream.nvc"))[:2]
    alone = Pictures(paths)
    right = [alone[frame] for frame in range(len(alone))]
    alone.close()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        assert by_threads(paths, right, rounds=3) == 0
    finally:
        sys.setswitchinterval(interval)


def test_workers_of_a_loader_by_fork_and_spawn():
    # A process of its own, since a process that runs tests should not be forked.
    command = [sys.executable, "-m", "tests.decoding.stress_shared_decoder", "--rounds", "2"]
    command += ["--ways", "fork", "spawn", "--streams", "latentgrid-p", "--workers", "1"]
    root = STREAMS.parents[2]
    paths = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH", "")]))
    done = subprocess.run(
        command, cwd=root, env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "fork: 0 of 16 pictures wrong" in done.stdout
    assert "spawn: 0 of 16 pictures wrong" in done.stdout


class SlowDecoder:
    """A segment decoder whose calls take as long as the test wants, and count who is inside."""

    batch = 1

    def __init__(self, inner) -> None:
        self._inner = inner
        self.inside = self.most = 0
        self.meet = lambda: None

    def planes(self, frames):
        self.inside += 1
        self.most = max(self.most, self.inside)
        self.meet()
        result = self._inner.planes(frames)
        self.inside -= 1
        return result


@pytest.fixture
def slow(monkeypatch) -> list[SlowDecoder]:
    """Returns the decoders opened so far, in order; opening one takes some time."""
    real, opened = segment_cache.open_segment_decoder, []

    def open_slowly(*arguments, **options):
        decoder = SlowDecoder(real(*arguments, **options))
        threading.Event().wait(0.05)  # lets other threads ask for the same segment
        opened.append(decoder)
        return decoder

    monkeypatch.setattr(segment_cache, "open_segment_decoder", open_slowly)
    return opened


def test_threads_that_ask_for_a_segment_open_it_once(slow, in_threads):
    with nvcodec.open(NERV, device="cpu") as video:
        first, *others = in_threads(*[lambda: video[1]] * 4)
    assert all((picture == first).all() for picture in others)
    assert len(slow) == 1


def test_threads_decode_different_segments_at_once_and_the_same_in_turn(slow, in_threads):
    with nvcodec.open(NERV, device="cpu") as video:
        video[[0, 4]]
        meeting = threading.Barrier(2, timeout=WAIT)  # broken unless both are inside
        for decoder in slow:
            decoder.meet = meeting.wait
        in_threads(lambda: video[0], lambda: video[4])
        slow[0].meet = lambda: threading.Event().wait(0.02)
        in_threads(*[lambda: video[0]] * 3)
    assert [decoder.most for decoder in slow] == [1, 1]


def test_a_segment_that_leaves_the_cache_is_still_decoded(slow, in_threads, monkeypatch):
    monkeypatch.setattr(segment_cache, "OPEN_SEGMENTS", 1)
    with nvcodec.open(NERV, device="cpu") as video:
        right = video[4]
        entered, go_on = threading.Event(), threading.Event()
        slow[-1].meet = lambda: entered.set() or go_on.wait(WAIT)

        def evict():
            assert entered.wait(WAIT)
            video[0]
            go_on.set()

        picture, _ = in_threads(lambda: video[4], evict)
        assert (picture == right).all()
        assert len(slow) == 2


def test_a_damaged_segment_takes_no_place_in_the_cache(monkeypatch, slow):
    monkeypatch.setattr(segment_cache, "OPEN_SEGMENTS", 1)
    data = bytearray(NERV.read_bytes())
    with nvcodec.open(bytes(data)) as video:
        data[video.reader.segments[1].offset + 30] ^= 1
    with nvcodec.open(bytes(data), device="cpu") as video:
        for _ in range(2):
            video[0]
            with pytest.raises(nvcodec.ChecksumError):
                video[4]
        assert len(slow) == 1 and len(video.losses) == 1


def test_locks_held_at_a_fork_do_not_stop_the_child(in_threads):
    with nvcodec.open(LATENTGRID, device="cpu") as video:
        right = video[4]
        cache, source = video._segments, video.reader._source
        for lock in (cache._lock, source._lock, source._position_lock, *_segment_locks(cache)):
            lock.acquire()
        forking._renew_all()  # what the child calls first
        (picture,) = in_threads(lambda: video[4])
        assert (picture == right).all()


def test_values_that_another_thread_computes_at_a_fork_do_not_stop_the_child():
    """Until Python 3.12, a `cached_property` has a lock, which nobody releases in the child."""
    classes = [value for module in (config, gop, subbands) for value in vars(module).values()]
    properties = [
        value
        for owner in classes
        if isinstance(owner, type) and owner.__module__.startswith("nvcodec.")
        for value in vars(owner).values()
        if isinstance(value, functools.cached_property)
    ]
    assert len(properties) >= 6
    locks = [value.lock for value in properties if hasattr(value, "lock")]
    pictures = []

    def decode() -> None:
        with nvcodec.open(LATENTGRID, device="cpu") as video:
            pictures.append(video[4])

    for lock in locks:
        lock.acquire()
    try:
        thread = threading.Thread(target=decode)
        thread.start()
        thread.join(WAIT)
        assert len(pictures) == 1
    finally:
        for lock in locks:
            lock.release()


def _segment_locks(cache):
    slots = list(cache._slots.values())
    return [lock for slot in slots for lock in (slot.lock, slot.opened._lock)]


@pytest.fixture
def copied(tmp_path) -> Path:
    path = tmp_path / "a.nvc"
    path.write_bytes(NERV.read_bytes())
    return path


@pytest.mark.parametrize("kind", ["path", "relative", "contents"])
def test_pickled_decoders_open_the_file_anew(copied, kind, monkeypatch, tmp_path_factory):
    monkeypatch.chdir(copied.parent)
    source = {"path": copied, "relative": "a.nvc", "contents": copied.read_bytes()}[kind]
    with nvcodec.open(source, device="cpu") as video:
        stored = pickle.dumps(video)
        right = video[:]
        with copy.deepcopy(video) as another:
            assert another.reader is not video.reader and (another[3] == right[3]).all()
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    with pickle.loads(stored) as again:
        assert (again[:] == right).all() and again.device.type == "cpu"
        with pickle.loads(pickle.dumps(again)) as third:
            assert (third[0] == right[0]).all()


def test_a_file_replaced_since_pickling_is_refused(copied):
    with nvcodec.open(copied, device="cpu") as video:
        stored = pickle.dumps(video)
    copied.with_name("b.nvc").write_bytes(NERV.read_bytes())
    copied.with_name("b.nvc").replace(copied)  # as many bytes, another file
    with pytest.raises(VideoError, match=r"a\.nvc: expected the file of \d+ bytes.*found"):
        pickle.loads(stored)
    copied.unlink()
    with pytest.raises(FileNotFoundError):
        pickle.loads(stored)


def test_file_objects_cannot_be_pickled(copied):
    with copied.open("rb") as file:
        for source in (file, io.BytesIO(copied.read_bytes())):
            with nvcodec.open(source) as video, pytest.raises(ConfigError, match="open the path"):
                pickle.dumps(video)


def test_closed_decoders_say_so(copied):
    video = nvcodec.open(copied, device="cpu")
    video[0]
    reading = video.frames()
    next(reading)
    video.close()
    video.close()
    for use in (
        lambda: video[0],
        lambda: video[[]],
        lambda: video[:],
        lambda: video.planes([4]),
        lambda: list(video),
        lambda: next(reading),
        lambda: next(video.frames()),
        lambda: video.frame_at(0),
        lambda: video.frame_number(0),
        lambda: video.pictures_at([0]),
        lambda: video.planes_at([]),
        lambda: video.reader.segment(0),
        lambda: video.reader.verify(),
        lambda: list(video.reader.packets(0)),
        lambda: pickle.dumps(video),
    ):
        with pytest.raises(ClosedError, match="closed"):
            use()
    assert issubclass(ClosedError, (NvcodecError, ValueError))
    assert (len(video), video.info.width) == (5, 35)  # what was read before stays


def test_a_file_object_closed_by_its_owner(copied):
    with copied.open("rb") as file:
        video = nvcodec.open(file, device="cpu")
    with pytest.raises(ClosedError, match="file object"):
        video[0]


def test_closing_while_another_thread_decodes(slow, in_threads):
    video = nvcodec.open(NERV, device="cpu")
    right = video[0]
    entered, go_on = threading.Event(), threading.Event()
    slow[0].meet = lambda: entered.set() or go_on.wait(WAIT)

    def close():
        assert entered.wait(WAIT)
        video.close()
        go_on.set()

    picture, _ = in_threads(lambda: video[0], close)
    assert (picture == right).all()
    with pytest.raises(ClosedError):
        video[0]


def test_warnings_are_given_once(in_threads):
    data = bytearray(NERV.read_bytes())
    with nvcodec.open(bytes(data)) as video:
        data[video.reader.segments[1].offset + 30] ^= 1
    with nvcodec.open(bytes(data), device="cpu") as video:
        held = in_threads(*[lambda: video.pictures_at([0, 100])] * 4)
        assert all((pictures == held[0]).all() for pictures in held)
        assert len(video.warnings) == 1 and len(video.reader.damage) == 1
        assert np.array_equal(held[0][1], video[2])
