"""Tests of the repair of timestamps."""

from __future__ import annotations

from fractions import Fraction

from nvcodec.video.sources.clock import Clock


def placed(stamps, time_base=Fraction(1, 1000), rate=Fraction(25)):
    clock = Clock(time_base, rate)
    return [clock.place(p) for p in stamps], clock


def test_good_times_pass_untouched():
    times, clock = placed([-40, 0, 1, 500, 70000])
    assert times == [-40, 0, 1, 500, 70000]
    assert clock.warnings() == []


def test_missing_times_do_not_drift():
    times, clock = placed([None] * 1001, Fraction(1, 1000), Fraction(30000, 1001))
    assert times[1000] == round(1000 * 1001 / 30)
    assert clock.warnings() == [
        "1001 frames have no timestamp; they were placed at the nominal frame rate"
    ]


def test_missing_times_go_on_from_the_last_known():
    assert placed([0, 40, None, None, 160])[0] == [0, 40, 80, 120, 160]


def test_duplicates_move_by_one_tick():
    times, clock = placed([0, 40, 40, 80, 79])
    assert times == [0, 40, 41, 80, 81]
    assert clock.moved == 2


def test_a_clock_reset_goes_on_where_it_stopped():
    assert placed([0, 40, 5000, 0, 40, 80])[0] == [0, 40, 5000, 5040, 5080, 5120]


def test_a_tick_longer_than_a_frame_still_increases():
    assert placed([None] * 3, Fraction(1), Fraction(25))[0] == [0, 1, 2]
