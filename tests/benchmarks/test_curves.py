"""Tests of BD-rates between curves, of their figure and of the page."""

from __future__ import annotations

import json
import re

import pytest

from benchmarks.harness.record import ResultTable
from benchmarks.rd import figures
from benchmarks.rd.curves import anchors_of, compare_all, compare_curves, curve, mean, tables
from benchmarks.rd.page import page
from benchmarks.rd.viewer_frames import ViewerClip, viewer
from nvcodec.metrics import bd_rate
from nvcodec.video import open_source


@pytest.fixture
def rows(row):
    """Points of two clips; on the second our curve lies above the anchor's quality range."""
    return [
        *(row("x264-medium", 1000 * 2**n, 28.0 + 3 * n) for n in range(4)),
        *(row("hnerv-fast", 2000 * 2**n, 28.0 + 3 * n, rate=n) for n in range(3)),
        *(row("hnerv-reference-fast", 9000 * 2**n, 28.0 + 3 * n) for n in range(2)),
        *(row("x264-medium", 1000 * 2**n, 20.0 + n, clip="two") for n in range(3)),
        *(row("hnerv-fast", 2000 * 2**n, 40.0 + n, clip="two") for n in range(2)),
    ]


def test_points_not_worth_their_bytes_are_left_out(row):
    points = [row("a", 300, 30.0), row("a", 100, 28.0), row("a", 200, 27.0), row("a", 400, 30.0)]
    assert curve(points, "psnr_y") == [(100, 28), (300, 30)]
    assert curve([row("a", 100, 28.0), row("a", 100, 29.0)], "psnr_y") == [(100, 29)]
    assert curve([row("a", 100, 28.0, ms_ssim=None)], "ms_ssim") == []


def test_a_difference(rows):
    result = compare_curves(rows, "one", "hnerv-fast", "x264-medium", "psnr_y")
    assert result.percent == pytest.approx(100) and result.covered == 1 and not result.why
    reference = compare_curves(rows, "one", "hnerv-fast", "hnerv-reference-fast", "psnr_y")
    assert reference.percent == pytest.approx(100 * (2 / 9 - 1))
    assert reference.covered == 0.5


def test_no_difference_without_overlap(rows):
    result = compare_curves(rows, "two", "hnerv-fast", "x264-medium", "psnr_y")
    assert result.percent is None and result.covered == 0
    assert result.why == "no overlap: hnerv-fast 40 to 41, x264-medium 20 to 22"
    missing = compare_curves(rows, "two", "hnerv-reference-fast", "x264-medium", "psnr_y")
    assert missing.why == "no points of hnerv-reference-fast"


def test_what_is_compared_with_what():
    series = ["x264-medium", "svtav1-3", "a-fast", "b-slow", "hnerv-reference-fast"]
    assert anchors_of("a-fast", series) == ["x264-medium", "svtav1-3", "hnerv-reference-fast"]
    assert anchors_of("b-slow", series) == ["x264-medium", "svtav1-3"]
    assert anchors_of("hnerv-reference-fast", series) == ["x264-medium", "svtav1-3"]


def test_means_say_how_many_clips_have_a_number(rows):
    results = [result for result in compare_all(rows) if result.metric == "psnr_y"]
    ours = [
        result
        for result in results
        if (result.test, result.anchor) == ("hnerv-fast", "x264-medium")
    ]
    assert mean(ours) == "+100.0 % (1 of 2)"
    assert mean(ours[:1]) == "+100.0 %"
    assert mean(ours[1:]) == "no overlap"
    assert mean([]) == "-"


def test_tables(rows):
    results = tables(rows, compare_all(rows))
    assert {"summary", "cost", "hnerv-fast_psnr_yuv", "hnerv-fast_ms_ssim"} <= set(results)
    per_clip = results["hnerv-fast_psnr_y"]
    assert per_clip.columns == ("clip", "x264-medium", "hnerv-reference-fast")
    assert per_clip.rows[0][1:] == ("+100.0 %", "-77.8 %")
    assert per_clip.rows[1] == ("two", "no overlap", "no points of hnerv-reference-fast")
    assert per_clip.rows[2] == ("mean", "+100.0 % (1 of 2)", "-77.8 % (1 of 2)")
    (cost,) = (line for line in results["cost"].rows if line[0] == "hnerv-fast")
    assert cost == ("hnerv-fast", "5", "2.0", "100", "5000", "1.50")
    # x265 has no points: the overview does without.
    assert results["overview"].columns[3:] == ("x264-medium", "encode, s", "decode, frames/s")
    ours, reference = results["overview"].rows
    assert ours[:3] == ("hnerv-fast", "5000", "1.50") and ours[3].endswith("(1 of 2)")
    assert ours[4:] == ("2.0", "100") and reference[0] == "hnerv-reference-fast"
    for table in results.values():
        assert isinstance(table, ResultTable)
        assert all(len(line) == len(table.columns) for line in table.rows)


def test_a_suite_with_halves_has_means_of_each(rows):
    halves = {"one": "development", "two": "judged"}
    results = tables(rows, compare_all(rows), halves)
    per_clip = results["hnerv-fast_psnr_y"]
    assert [line[:2] for line in per_clip.rows[2:]] == [
        ("mean, development", "+100.0 %"),
        ("mean, judged", "no overlap"),
        ("mean", "+100.0 % (1 of 2)"),
    ]
    (ours,) = (
        line for line in results["summary_development"].rows if line[:2] == ("hnerv-fast", "Y PSNR")
    )
    assert ours[2] == "+100.0 %" and "summary_judged" in results


def test_a_partly_covered_curve_is_marked(row):
    rows = [
        *(row("x264-medium", 1000 * 2**n, 28.0 + 3 * n) for n in range(3)),
        *(row("hnerv-fast", 9000 * 2**n, 20.0 + 3 * n) for n in range(4)),
    ]
    table = tables(rows, compare_all(rows))["hnerv-fast_psnr_y"]
    expected = bd_rate(curve(rows[:3], "psnr_y"), curve(rows[3:], "psnr_y"))
    assert table.rows[0] == ("one", f"{expected:+.1f} % *")
    assert "*" in table.note


def test_styles_do_not_depend_on_what_else_is_drawn():
    by_name = figures.styles(["x264-medium", "a-fast", "hnerv-reference-fast", "b-fast"])
    assert by_name["x264-medium"] == figures.styles(["x264-medium"])["x264-medium"]
    assert len({style.colour for style in by_name.values()}) == 4
    assert [style.ours for style in by_name.values()] == [False, True, True, True]


def test_the_picture(rows, tmp_path):
    pytest.importorskip("matplotlib")
    figures.draw(rows, tmp_path / "figures" / "curves.png")
    assert (tmp_path / "figures" / "curves.png").read_bytes().startswith(b"\x89PNG")


@pytest.fixture
def stored(rows):
    """A result file, read back."""
    clip = {"name": "one", "width": 64, "height": 48, "frames": 10, "fps": 25.0}
    record = {
        "command": "python -m benchmarks.rd",
        "commit": "abc",
        "dirty": False,
        "date": "2026-01-01T00:00:00",
        "machine": {
            "cpu": "some", "threads": 2, "capability": "x", "gpu": None, "packages": {"torch": "2"},
        },
        "results": {
            "suite": "</script><b>",
            "clips": [clip, {**clip, "name": "two"}],
            "conditions": ["a < b & c"],
            "notes": [],
            "points": rows,
        },
        "tables": {
            name: {"columns": table.columns, "rows": table.rows, "note": table.note}
            for name, table in tables(rows, compare_all(rows)).items()
        },
    }  # fmt: skip
    return json.loads(json.dumps(record))


def test_the_page_fetches_nothing(stored):
    html = page(stored, [])
    assert not re.search(r"https?:|//\w+\.\w|@import|url\(|<link|<iframe|\bfetch\(", html)
    assert not re.search(r"\b(src|href)\s*=\s*[\"'](?!data:)", html)
    assert "default-src 'none'" in html
    assert "<!--" not in html  # every place is filled


def test_the_page_holds_its_data(stored):
    html = page(stored, [])
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', html)
    data = json.loads(text)
    assert len(data["points"]) == len(stored["results"]["points"])
    assert set(data["series"]) == {"x264-medium", "hnerv-fast", "hnerv-reference-fast"}
    assert "a &lt; b &amp; c" in html and "<b>" not in html
    assert "<td class=fewer>-77.8 %</td>" in html and "<td class=more>+100.0 %</td>" in html
    assert html.count("<details open>") == 1


def test_pictures_keep_within_their_bytes(make_clip, row, tmp_path):
    pytest.importorskip("PIL")
    source, other = make_clip("a.mkv", frames=6, codec="ffv1"), make_clip("b.mkv", frames=6)
    shown = ViewerClip("one", source, [(row("x264-medium", 1000, 30.0), other)])
    (lossless,) = viewer([shown], 10**7)
    assert [frame["number"] for frame in lossless["frames"]] == [1, 3, 5]
    assert lossless["sides"][0] == {"series": "source"}
    assert lossless["sides"][1]["bytes"] == 1000
    frame = lossless["frames"][0]
    assert frame["psnr_y"][0] == 100.0 > frame["psnr_y"][1] > 20
    assert all(image.startswith("data:image/webp;base64,") for image in frame["images"])
    (small,) = viewer([shown], 12_000)
    for result, another in zip(lossless["frames"], small["frames"], strict=True):
        assert len(another["images"][0]) < len(result["images"][0])
    with open_source(source) as opened:
        assert (lossless["width"], lossless["height"]) == (opened.info.width, opened.info.height)
