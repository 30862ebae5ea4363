"""The lockstep pool: segments of several chains fitted at a time by one process."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

import nvcodec
from nvcodec.encoding import encoder
from nvcodec.errors import VideoError
from nvcodec.fitting.network.batched_step import batched_step
from nvcodec.fitting.network.fitter import NetworkFitter
from nvcodec.workers import lockstep_pool
from nvcodec.workers.in_process_pool import InProcessPool
from tests.fixtures.clips import drifting


@pytest.fixture
def clip(shared_folder, make_clip):
    path = shared_folder / "lockstep.mkv"
    if not path.exists():
        make_clip("lockstep.mkv", frames=14, codec="ffv1", picture=drifting).rename(path)
    return path


@pytest.fixture
def config(settings) -> nvcodec.EncoderConfig:
    # Chains of two groups, the last of one; the last group is shorter.
    return settings(model="nirvana", parameters=1500, epochs=4, segment=3, refresh=2)


@pytest.fixture
def batch_sizes(monkeypatch) -> list[int]:
    """The number of steps in each batch."""
    counts: list[int] = []

    def counted(steps):
        counts.append(len(steps))
        return batched_step(steps)

    monkeypatch.setattr(lockstep_pool, "batched_step", counted)
    return counts


@pytest.mark.parametrize(
    "changes",
    [{}, {"parameters": None, "size": 4000}, {"parameters": None, "psnr": 22.0, "epochs": 2}],
)
def test_the_file_is_that_of_one_after_the_other(
    clip, config, settings, tmp_path, batch_sizes, monkeypatch, changes
):
    epochs = changes.pop("epochs", 4)
    config = replace(config, **changes, fit=replace(config.fitting, epochs=epochs))
    several = nvcodec.encode(clip, tmp_path / "several.nvc", config, measure=False)
    assert max(batch_sizes) == 3
    monkeypatch.setattr(
        encoder, "make_pool", lambda config, fitter, *_: InProcessPool(fitter, config)
    )
    one = nvcodec.encode(clip, tmp_path / "one.nvc", config, measure=False)
    assert (tmp_path / "several.nvc").read_bytes() == (tmp_path / "one.nvc").read_bytes()
    assert several.segments == one.segments == 5
    assert several.epochs == one.epochs
    assert set(several.warnings) == set(one.warnings)


class _CallbackError(Exception):
    """Raised by the progress callback."""


@pytest.mark.parametrize("calls_until_error", [1, 9])
def test_an_exception_of_the_callback_ends_all_fits(clip, config, tmp_path, calls_until_error):
    seen = []

    def raise_later(progress):
        seen.append(progress)
        if len(seen) == calls_until_error:
            raise _CallbackError

    before = threading.active_count()
    with pytest.raises(_CallbackError):
        nvcodec.encode(
            clip, tmp_path / "a.nvc", config, measure=False, on_progress=raise_later
        )  # fmt: skip
    assert threading.active_count() == before
    assert len(seen) == calls_until_error
    # The encode can be resumed if any segment was finished.
    resume = any(one.finished for one in seen)
    assert resume == (calls_until_error > 1)
    nvcodec.encode(clip, tmp_path / "a.nvc", config, measure=False, resume=resume)
    whole = nvcodec.encode(clip, tmp_path / "b.nvc", config, measure=False)
    assert whole.segments == 5
    assert (tmp_path / "a.nvc").read_bytes() == (tmp_path / "b.nvc").read_bytes()


def test_a_failure_waits_for_the_segments_before(clip, config, tmp_path, monkeypatch):
    fit = NetworkFitter.fit

    def failing(self, task):
        if task.number == 2:  # the first segment of the second chain
            raise VideoError("as the test wants it")
        return fit(self, task)

    with monkeypatch.context() as patch:
        patch.setattr(NetworkFitter, "fit", failing)
        with pytest.raises(VideoError, match="as the test wants it"):
            nvcodec.encode(clip, tmp_path / "a.nvc", config, measure=False)
    seen: list[nvcodec.Progress] = []
    nvcodec.encode(
        clip, tmp_path / "a.nvc", config, measure=False, resume=True, on_progress=seen.append
    )  # fmt: skip
    assert {one.segment for one in seen} == {2, 3, 4}


def test_an_interrupt_ends_all_fits(clip, config, tmp_path, monkeypatch):
    calls = []

    def interrupted(steps):
        calls.append(steps)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return batched_step(steps)

    monkeypatch.setattr(lockstep_pool, "batched_step", interrupted)
    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        nvcodec.encode(clip, tmp_path / "a.nvc", config, measure=False)
    assert threading.active_count() == before


def test_progress_of_all_segments_is_reported(clip, config, tmp_path):
    seen: list[nvcodec.Progress] = []
    nvcodec.encode(clip, tmp_path / "a.nvc", config, measure=False, on_progress=seen.append)
    assert {one.segment for one in seen} == set(range(5))
    assert max(one.running for one in seen) == 3
    assert seen[-1].share == 1.0
