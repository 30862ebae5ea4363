"""The scheduler: jobs in any order, with failing workers, give the same file."""

from __future__ import annotations

import pickle
import random
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

import nvcodec
from nvcodec.api import ladder_paths
from nvcodec.cli.progress_bars import EncodeBar
from nvcodec.container import Reader
from nvcodec.encoding import encoder
from nvcodec.errors import ConfigError, VideoError, WorkerError
from nvcodec.video.sources.source import Source
from nvcodec.workers.job import JobFailure, WorkerLost, run_job
from nvcodec.workers.pool import JobDone
from tests.fixtures.clips import drifting


class UnorderedPool:
    """A pool of three workers in this process, which finish in random order or die."""

    capacity = 3

    def __init__(self, config, fitter) -> None:
        self._config, self._fitter = config, fitter
        self._jobs, self._rng = {}, random.Random(0)
        self.fitted, self.cancelled, self.most, self.closed = [], 0, 0, False
        self.lose: dict[int, int] = {}  # number of workers that each segment loses
        self.fail: dict[int, Exception] = {}

    @property
    def free(self) -> int:
        return self.capacity - len(self._jobs)

    def submit(self, job_id, job) -> None:
        assert self.free > 0
        self._jobs[job_id] = pickle.dumps(job)
        self.most = max(self.most, len(self._jobs))

    def cancel(self, job_id) -> None:
        del self._jobs[job_id]
        self.cancelled += 1

    def wait(self, on_progress) -> JobDone:
        # The larger of two random ids, so that late jobs tend to finish first.
        job_id = max(self._rng.choices(list(self._jobs), k=2))
        job = pickle.loads(self._jobs.pop(job_id))
        number = job.task.number
        if self.lose.get(number, 0):
            self.lose[number] -= 1
            return JobDone(job_id, WorkerLost("as the test wants it"))
        if number in self.fail:
            return JobDone(job_id, JobFailure(self.fail[number], ""))
        self.fitted.append(number)
        done = run_job(job, self._fitter, self._config, lambda one: on_progress(job_id, one))
        return JobDone(job_id, pickle.loads(pickle.dumps(done)))

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def encode_unordered(monkeypatch):
    """A function that encodes with such a pool, prepared by a callback, and returns the pool."""

    def encode(source, target, config, *, resume=False, on_progress=None, prepare=lambda one: None):
        made = []

        def workers(config, fitter, *_):
            made.append(UnorderedPool(config, fitter))
            prepare(made[0])
            return made[0]

        with monkeypatch.context() as patch:
            patch.setattr(encoder, "make_pool", workers)
            verb = nvcodec.encode_ladder if config.ladder else nvcodec.encode
            try:
                verb(
                    source, target, config, resume=resume, measure=False, on_progress=on_progress
                )  # fmt: skip
            finally:
                assert made[0].closed
        return made[0]

    return encode


@pytest.fixture
def long_clip(shared_folder, make_clip):
    """24 frames of 48x32, one shot."""
    path = shared_folder / "long.mkv"
    if not path.exists():
        make_clip("l.mkv", frames=24, size=(48, 32), codec="ffv1", picture=drifting).rename(path)
    return path


def encode_both_ways(encode_unordered, source, folder, config):
    """Check that an unordered encode gives the file of an ordered one, and return its pool."""
    nvcodec.encode(source, folder / "a.nvc", config, measure=False)
    workers = encode_unordered(source, folder / "b.nvc", config)
    assert (folder / "a.nvc").read_bytes() == (folder / "b.nvc").read_bytes()
    return workers


@pytest.mark.parametrize("target", [{"bpp": 1.5}, {"psnr": 14.0}])
def test_jobs_that_end_in_any_order_give_the_same_file(
    encode_unordered, long_clip, tmp_path, settings, target
):
    config = settings(parameters=None, segment=2, frames=slice(0, 10), **target)
    workers = encode_both_ways(encode_unordered, long_clip, tmp_path, config)
    assert sorted(workers.fitted) == list(range(5)) != workers.fitted
    assert workers.most == 3


def test_workers_compute_the_tokens(encode_unordered, long_clip, tmp_path, settings, blocks):
    config = settings(segment=4, latents="both", tokenizer=blocks, parameters=None, size=12_000)
    encode_both_ways(encode_unordered, long_clip, tmp_path, config)
    with Reader(tmp_path / "b.nvc") as reader:
        assert all(reader.tokens(number).payload for number in range(6))


@pytest.mark.parametrize(("model", "epochs"), [("nirvana", 60), ("latentgrid", 2)])
def test_chains_are_fitted_at_the_same_time(
    encode_unordered, long_clip, tmp_path, settings, few_context_steps, model, epochs
):
    config = settings(model=model, parameters=None, bpp=2.0, segment=2, refresh=2, epochs=epochs)
    workers = encode_both_ways(
        encode_unordered, long_clip, tmp_path, replace(config, frames=slice(0, 8))
    )
    with Reader(tmp_path / "b.nvc") as reader:
        assert [entry.predicted for entry in reader.segments] == 2 * [False, True]
    assert workers.most == 2 and workers.cancelled == 0
    assert workers.fitted != list(range(4))
    for first in (0, 2):
        assert workers.fitted.index(first) < workers.fitted.index(first + 1)


def test_chains_begin_at_cuts(encode_unordered, make_clip, tmp_path, settings):
    def shots(t: int, width: int, height: int) -> np.ndarray:
        cells = np.random.default_rng(t // 6).integers(0, 256, (4, 6, 3), np.uint8)
        return cells.repeat(8, 0).repeat(8, 1)

    clip = make_clip("shots.mkv", frames=12, size=(48, 32), codec="ffv1", picture=shots)
    config = settings(model="nirvana", parameters=1500, segment=2, refresh=4, epochs=60)
    workers = encode_both_ways(encode_unordered, clip, tmp_path, config)
    assert workers.fitted[:3] != [0, 1, 2]
    with Reader(tmp_path / "b.nvc") as reader:
        assert [entry.predicted for entry in reader.segments] == 2 * [False, True, True]


def test_a_size_is_met_if_targets_change_during_fits(
    encode_unordered, long_clip, tmp_path, settings
):
    # The smallest networks take more than their share, which the first fit reveals.
    config = settings(parameters=None, size=1000, segment=3, frames=slice(0, 15))
    workers = encode_both_ways(encode_unordered, long_clip, tmp_path, config)
    assert workers.cancelled + len(workers.fitted) > 5


def test_files_of_a_ladder(encode_unordered, long_clip, tmp_path, settings):
    config = settings(
        parameters=None, ladder=(1500, 4500), segment=4, epochs=3, frames=slice(0, 12)
    )
    nvcodec.encode_ladder(long_clip, tmp_path / "a.nvc", config, measure=False)
    assert encode_unordered(long_clip, tmp_path / "b.nvc", config).most > 1
    for one in ladder_paths(tmp_path / "a.nvc", config.ladder):
        assert one.read_bytes() == one.with_name("b" + one.name[1:]).read_bytes()


@pytest.mark.parametrize("model", ["hnerv", "nirvana"])
def test_an_encode_is_resumed_with_another_number_of_workers(
    encode_unordered, long_clip, encode_once, tmp_path, settings, interrupt, model
):
    config = settings(model=model, parameters=2500, segment=3)
    expected = encode_once(f"long-{model}.nvc", long_clip, config)
    interrupt(long_clip, tmp_path / "b.nvc", config, 3)
    workers = encode_unordered(
        long_clip, tmp_path / "b.nvc", replace(config, workers=3), resume=True
    )
    assert sorted(workers.fitted) == [3, 4, 5, 6, 7]
    assert expected.read_bytes() == (tmp_path / "b.nvc").read_bytes()


def test_a_lost_worker_is_replaced(encode_unordered, long_clip, encode_once, tmp_path, settings):
    config = settings(segment=3)
    expected = encode_once("long-hnerv.nvc", long_clip, config)
    encode_unordered(
        long_clip, tmp_path / "b.nvc", config, prepare=lambda one: one.lose.update({0: 2, 2: 1, 7: 2})
    )  # fmt: skip
    assert expected.read_bytes() == (tmp_path / "b.nvc").read_bytes()


def test_too_many_lost_workers(encode_unordered, long_clip, encode_once, tmp_path, settings):
    config, target = settings(segment=3), tmp_path / "b.nvc"
    with pytest.raises(WorkerError, match=r"segment 5: 3 workers died .*as the test wants it"):
        encode_unordered(long_clip, target, config, prepare=lambda one: one.lose.update({5: 3}))
    # The segments before it are in the file.
    with nvcodec.open(tmp_path / "b.nvc.partial", device="cpu") as video:
        assert len(video) == 15
    nvcodec.encode(long_clip, target, config, measure=False, resume=True)
    expected = encode_once("long-hnerv.nvc", long_clip, config)
    assert expected.read_bytes() == target.read_bytes()


def test_errors_are_raised_after_all_segments_before(
    encode_unordered, long_clip, tmp_path, settings, monkeypatch
):
    config, error = settings(segment=3), ConfigError("such pictures cannot be fitted")
    with pytest.raises(ConfigError, match="such pictures") as raised:
        encode_unordered(
            long_clip, tmp_path / "b.nvc", config, prepare=lambda one: one.fail.update({4: error})
        )
    assert raised.value is error
    with nvcodec.open(tmp_path / "b.nvc.partial", device="cpu") as video:
        assert len(video) == 12
    read = Source.read

    def fail(source, count):
        if source.frames >= 16:
            raise VideoError("the source is damaged")
        source.frames += count
        return read(source, count)

    monkeypatch.setattr(Source, "frames", 0, raising=False)
    monkeypatch.setattr(Source, "read", fail)
    with pytest.raises(VideoError, match="damaged"):
        encode_unordered(long_clip, tmp_path / "c.nvc", config)
    with nvcodec.open(tmp_path / "c.nvc.partial", device="cpu") as video:
        assert len(video) >= 9


def test_progress_of_several_segments(encode_unordered, long_clip, tmp_path, settings, capsys):
    seen: list[nvcodec.Progress] = []
    encode_unordered(
        long_clip, tmp_path / "a.nvc", settings(segment=3, epochs=2), on_progress=seen.append
    )
    assert {one.segment for one in seen} == set(range(8))
    assert {one.segments for one in seen} == {8}
    assert max(one.running for one in seen) == 3 and seen[-1].running == 1
    for before, after in pairwise(seen):
        assert before.finished <= after.finished and before.share <= after.share + 1e-9
    assert seen[0].share > 0 and seen[-1].share == 1.0
    assert seen[-1].finished == 7 and seen[-1].remaining == 0.0
    assert all(one.remaining >= one.fit.remaining for one in seen)
    with EncodeBar(visible=True) as bar:
        for one in seen:
            bar.update(one)
    shown = capsys.readouterr().err
    assert (
        "0/8 segments, 3 being fitted" in shown and f"segment {seen[-1].segment + 1}/8, " in shown
    )
