"""Tests of the points that a run needs, and of the prepared clips."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.harness.anchor_codecs import ENCODERS
from benchmarks.harness.model_variants import Variant
from benchmarks.rd import plan
from benchmarks.rd.plan import CurveSpec, RunSettings
from benchmarks.rd.prepared_clips import PreparedClip, find_file, prepare
from benchmarks.rd.suites import SUITES, SuiteClip, choose_clips
from nvcodec.video import open_source

CLIP = SuiteClip(name="one", file="one.mp4", rates=(0.05, 0.1))
SOURCE = PreparedClip(
    clip=CLIP, path=Path("one.mp4"), planes="abc", frames=10, width=100, height=50, fps=25.0
)


def test_suites():
    for clips in SUITES.values():
        assert len({clip.name for clip in clips}) == len(clips)
        for clip in clips:
            assert list(clip.rates) == sorted(set(clip.rates)) and len(clip.rates) == 4
    assert set(SUITES["small"]) < set(SUITES["full"])
    halves = [clip.half for clip in SUITES["broad"]]
    assert (halves.count("development"), halves.count("judged")) == (8, 12)
    assert [clip.name for clip in choose_clips("small", ["akiyo", "bunny"])] == ["bunny", "akiyo"]
    with pytest.raises(SystemExit, match="nothing: not in the suite"):
        choose_clips("small", ["nothing"])


def test_clips_are_found_in_the_folder_or_not_at_all(tmp_path):
    assert find_file(CLIP, None) is None and find_file(CLIP, tmp_path) is None
    (tmp_path / "one.mp4").touch()
    assert find_file(CLIP, tmp_path) == tmp_path / "one.mp4"


def test_a_prepared_clip_has_the_planes_of_its_source(make_clip, tmp_path):
    file = make_clip(frames=6, rate=30)
    clip = SuiteClip(name="one", file=file.name, rates=(0.1,), resize=(32, 24), frames=4)
    made = prepare(clip, file, tmp_path / "sources")
    assert (made.frames, made.width, made.height, made.fps) == (4, 32, 24, 30.0)
    with open_source(file, resize=(32, 24)) as source, open_source(made.path) as copy:
        expected, got = source.read(4), copy.read(9)
    assert (expected.y == got.y).all() and (expected.u == got.u).all()
    assert (expected.v == got.v).all()
    assert [ticks * copy.info.time_base * 30 for ticks in got.pts.tolist()] == [0, 1, 2, 3]
    again = prepare(clip, file, tmp_path / "sources")
    assert again == made
    whole = prepare(SuiteClip(name="one", file=file.name, rates=(0.1,)), file, tmp_path / "sources")
    assert whole.planes != made.planes and whole.path != made.path


def test_entries():
    made = plan.curve_specs(["hnerv-reference", "nerv/fast", "hnerv"], ["medium", "slow"])
    # The reference comes last: it takes its time from the others.
    assert [curve.series for curve in made] == [
        "nerv-fast", "hnerv-medium", "hnerv-slow", "hnerv-reference-medium", "hnerv-reference-slow",
    ]  # fmt: skip
    assert len(plan.curve_specs(["nerv", "nerv/medium"], ["medium"])) == 1
    boosted = plan.curve_specs(["hnerv+boost/fast", "hnerv/fast"], ["medium"])
    assert [curve.series for curve in boosted] == ["hnerv+boost-fast", "hnerv-fast"]
    for wrong in ("vvc", "nerv/warp", "nerv+warp", "hnerv-reference+boost"):
        with pytest.raises(SystemExit, match="expected"):
            plan.curve_specs([wrong], ["medium"])


def test_the_reference_needs_a_time():
    alone = [CurveSpec(Variant("hnerv-reference"), "medium"), CurveSpec(Variant("nerv"), "fast")]
    with pytest.raises(SystemExit, match="expected another model at that preset"):
        plan.check_times(alone, RunSettings())
    plan.check_times(alone, RunSettings(reference_seconds=5.0))
    plan.check_times([*alone, CurveSpec(Variant("nerv"), "medium")], RunSettings())


def test_points_of_models_say_what_a_user_would():
    run_settings = RunSettings(epochs=3, device="cpu")
    first, second = plan.model_points(CurveSpec(Variant("hnerv"), "fast"), SOURCE, run_settings)
    assert (first.series, first.kind, first.rate, second.rate) == ("hnerv-fast", "model", 0, 1)
    command = first.command(Path("in.mp4"), Path("out.nvc"))
    assert command[1:4] == ["-m", "nvcodec", "encode"]
    line = " ".join(command[4:])
    assert "in.mp4 -o out.nvc --no-audio --json" in line
    assert "--model hnerv --preset fast --bpp 0.05 --epochs 3 --device cpu --seed 0" in line
    assert "time" not in line and "threads" not in line


def test_some_of_the_rates():
    (point,) = plan.model_points(
        CurveSpec(Variant("nerv"), "fast"), SOURCE, RunSettings(rates=(1, 3), device="cpu")
    )
    assert (point.rate, point.settings["bpp"]) == (1, 0.1)
    assert plan.rate_indices(SOURCE, RunSettings()) == (0, 1)


def test_boosting_is_a_switch_and_leaves_other_points_alone():
    run_settings = RunSettings(device="cpu")
    plain, _ = plan.model_points(CurveSpec(Variant("nerv"), "fast"), SOURCE, run_settings)
    boosted, _ = plan.model_points(CurveSpec(Variant("nerv", True), "fast"), SOURCE, run_settings)
    assert boosted.series == "nerv+boost-fast"
    line = " ".join(boosted.command(Path("in.mp4"), Path("out.nvc")))
    assert "--model nerv --boost --preset fast" in line
    # Points that were made before there was boosting are found again.
    assert plain.key(SOURCE) == "5e0df51ccddbd2ccf43f"
    assert boosted.key(SOURCE) != plain.key(SOURCE)


def test_points_of_the_reference():
    curve = CurveSpec(Variant("hnerv-reference"), "fast")
    point = plan.reference_point(curve, 1, SOURCE, RunSettings(), 100.0)
    assert point.series == "hnerv-reference-fast"
    assert 100 <= float(point.settings["seconds"]) <= 110
    # Four times 0.1 bits per pixel, 7.5 bits per parameter.
    assert point.settings["parameters"] == round(0.4 * 10 * 100 * 50 / 7.5)
    fixed = RunSettings(reference_seconds=7.0)
    assert plan.reference_point(curve, 0, SOURCE, fixed, 100.0).settings["seconds"] == 7


@pytest.mark.parametrize("seconds", [0.2, 1.0, 33.0, 299.99, 300.0, 1e4])
def test_times_are_rounded_up_by_a_tenth_at_most(seconds):
    allowed = plan.time_allowed(seconds)
    assert max(seconds, 1) * 0.999 <= allowed <= max(seconds, 1) * 1.1 + 0.06
    assert plan.time_allowed(allowed * 0.99) == allowed


def test_anchor_points():
    points = list(plan.anchor_points(tuple(ENCODERS), 2))
    assert {point.series for point in points} == set(ENCODERS)
    (one,) = {point.series for point in plan.anchor_points(["svtav1-6"], 2)}
    assert one == "svtav1-6"
    for point in points:
        encoder = ENCODERS[point.series]
        assert encoder.crf[0] <= float(point.settings["crf"]) <= encoder.crf[1]
    line = " ".join(points[0].command(Path("in.mp4"), Path("out.nut"))[1:])
    assert line == (
        "-m benchmarks.harness.anchor_codecs in.mp4 out.nut --encoder x264-medium --crf 22.0 --threads 2"
    )


def test_anchors_go_on_until_they_span_the_networks(row):
    anchor = [row("x264-medium", 900, 30.0, crf=42.0), row("x264-medium", 4000, 38.0, crf=27.0)]
    inside = [row("hnerv-fast", 2000, 31.0), row("hnerv-fast", 5000, 37.0)]
    assert plan.next_rate_factor("x264-medium", anchor, inside) is None
    assert plan.next_rate_factor("x264-medium", anchor, []) is None
    below = [*inside, row("hnerv-fast", 100, 20.0)]
    assert plan.next_rate_factor("x264-medium", anchor, below) == 47
    anchor.append(row("x264-medium", 500, 26.0, crf=47.0))
    assert plan.next_rate_factor("x264-medium", anchor, below) == 51
    anchor.append(row("x264-medium", 400, 24.0, crf=51.0))
    assert plan.next_rate_factor("x264-medium", anchor, below) is None  # 51 is the coarsest.
    above = [*inside, row("hnerv-fast", 9000, 45.0)]
    assert plan.next_rate_factor("x264-medium", anchor, above) == 22
    # A quality that was not measured does not count.
    unknown = [row("hnerv-fast", 2000, 31.0, ms_ssim=None)]
    assert plan.next_rate_factor("x264-medium", anchor, unknown) is None
