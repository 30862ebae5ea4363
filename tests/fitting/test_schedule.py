"""The progress of a stage, and the learning rate at that progress."""

from __future__ import annotations

import pytest

from nvcodec.fitting.network import schedule as schedule_module
from nvcodec.fitting.network.schedule import LearningRateSchedule, StageClock


class FakeClock:
    """A stand-in for the module `time`, whose clock tests set."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def fake_clock(monkeypatch) -> FakeClock:
    fake_clock = FakeClock()
    monkeypatch.setattr(schedule_module, "time", fake_clock)
    return fake_clock


def test_progress_by_steps(fake_clock):
    clock = StageClock(4, None)
    assert (clock.fraction, clock.finished()) == (0.0, False)
    fake_clock.now += 3
    clock.step = 1
    assert (clock.fraction, clock.elapsed) == (0.25, 3)
    clock.step = 4
    assert clock.finished()
    clock.step = 9
    assert clock.fraction == 1.0


def test_progress_by_time(fake_clock):
    clock = StageClock(100, 10.0)
    fake_clock.now += 50
    assert not clock.finished()  # at least one step is taken
    clock.step = 1
    assert clock.finished()
    clock = StageClock(100, 10.0)
    fake_clock.now += 5
    clock.step = 2
    assert clock.fraction == 0.5
    clock.step = 80
    assert clock.fraction == 0.8


def test_progress_without_time_or_steps(fake_clock):
    clock = StageClock(0, 0.0)
    assert not clock.finished()
    clock.step = 1
    fake_clock.now += 1
    assert clock.finished()


def test_schedule():
    schedule = LearningRateSchedule(1e-3, 0.2, 0.1)
    assert schedule.at(0.0) == pytest.approx(0.1)
    assert schedule.at(0.1) == pytest.approx(0.55)
    assert schedule.at(0.2) == pytest.approx(1.0)
    assert schedule.at(0.6) == pytest.approx(0.5)
    assert schedule.at(1.0) == pytest.approx(0.0)
    assert LearningRateSchedule(1e-3, 0.0, 0.0).at(0.0) == 1.0


def test_parts_of_a_schedule_join():
    whole = LearningRateSchedule(1e-3, 0.1, 0.1)
    first, second = whole.part(0.0, 0.5), whole.part(0.5, 1.0)
    for fraction in (0.0, 0.1, 0.5, 0.9, 1.0):
        assert first.at(fraction) == pytest.approx(whole.at(fraction / 2))
        assert second.at(fraction) == pytest.approx(whole.at(0.5 + fraction / 2))
