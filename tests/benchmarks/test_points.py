"""Tests of the store: points are made once, kept, and found again."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import pytest

from benchmarks.harness.model_variants import Variant
from benchmarks.rd import points, store
from benchmarks.rd.plan import CurveSpec, RunSettings, anchor_point
from benchmarks.rd.points import CurvePoint
from benchmarks.rd.prepared_clips import PreparedClip
from benchmarks.rd.runner import RateDistortionRun
from benchmarks.rd.store import PointError, PointStore
from benchmarks.rd.suites import SuiteClip

SOURCE = PreparedClip(
    clip=SuiteClip(name="one", file="one.mp4", rates=(0.05, 0.1)),
    path=Path("one.mp4"), planes="abc", frames=10, width=100, height=50, fps=25.0,
)  # fmt: skip
POINT = CurvePoint(series="hnerv-fast", kind="model", settings={"bpp": 0.1, "threads": 1}, rate=0)


class Programs:
    """A fake of the processes that encode and measure.

    Args:
        fail: Argument with which a command fails.
    """

    def __init__(self, fail: str = "\0") -> None:
        self.fail = fail
        self.commands: list[list[str]] = []

    def __call__(self, command, threads):
        self.commands.append(list(command))
        if self.fail in command:
            raise PointError("it broke")
        if "compare" in command:
            quality = dict.fromkeys(store._MEASURED, 30.0)
            return {"frames": SOURCE.frames, **quality}
        target = next(argument for argument in command if "unfinished" in argument)
        Path(target).write_bytes(bytes(1000 + 10 * len(self.commands)))
        made = {"crf": float(command[command.index("--crf") + 1])} if "--crf" in command else {}
        return {**made, "encode_seconds": 3.0, "parameters": 7}


@pytest.fixture
def programs(monkeypatch):
    programs = Programs()
    monkeypatch.setattr(store, "_run", lambda *given: programs(*given))
    monkeypatch.setattr(store, "version", lambda codec: f"{codec} 1")
    return programs


def test_keys_depend_on_what_decides_the_outcome():
    key = POINT.key(SOURCE)
    assert key == dataclasses.replace(POINT, series="other", rate=3).key(SOURCE)
    assert key != dataclasses.replace(POINT, settings={"bpp": 0.2, "threads": 1}).key(SOURCE)
    assert key != dataclasses.replace(POINT, kind="reference").key(SOURCE)
    assert key != POINT.key(dataclasses.replace(SOURCE, planes="abd"))
    # Where the file lies, and what the clip is called, do not.
    moved = dataclasses.replace(
        SOURCE, path=Path("two.mp4"), clip=SuiteClip(name="two", file="b", rates=(1.0,))
    )
    assert key == POINT.key(moved)


def test_only_code_counts_as_program():
    plain = "def f(x: int) -> int:\n    return x + 1\n"
    said = '"""What."""\n# why\ndef f(x: int) -> int:\n    """How."""\n\n    return (x + 1)  # so\n'
    assert points.strip_docstrings(plain) == points.strip_docstrings(said)
    assert points.strip_docstrings(plain) != points.strip_docstrings(plain.replace("1", "2"))
    assert POINT.program() != anchor_point("x264-medium", 30, 1).program()
    assert POINT.program() != dataclasses.replace(POINT, kind="reference").program()


def test_a_point_is_made_once(programs, tmp_path):
    point_store = PointStore(tmp_path)
    assert point_store.find(POINT, SOURCE) is None
    made = point_store.make(POINT, SOURCE)
    assert made["bytes"] == 1010 and made["bpp"] == 8 * 1010 / 50_000
    assert made["kbps"] == pytest.approx(8 * 1010 / 0.4 / 1000)
    assert (made["clip"], made["series"], made["rate"]) == ("one", "hnerv-fast", 0)
    assert point_store.file(made).stat().st_size == 1010
    assert "compare" in programs.commands[1]
    assert PointStore(tmp_path).find(POINT, SOURCE) == made
    assert len(programs.commands) == 2
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".nvc"}
    # Under another name it is the same point.
    renamed = dataclasses.replace(POINT, series="hnerv-other")
    assert point_store.find(renamed, SOURCE) == {**made, "series": "hnerv-other"}


def test_points_of_another_program_are_taken_only_if_asked_for(programs, tmp_path, monkeypatch):
    PointStore(tmp_path).make(POINT, SOURCE)
    monkeypatch.setattr(points, "fingerprint", lambda paths: "changed")
    assert PointStore(tmp_path).find(POINT, SOURCE) is None
    assert PointStore(tmp_path, stale=True).find(POINT, SOURCE)["stale"]


def test_what_fails_leaves_nothing(programs, tmp_path):
    programs.fail = "compare"
    point_store = PointStore(tmp_path)
    with pytest.raises(PointError, match="it broke"):
        point_store.make(POINT, SOURCE)
    assert list(tmp_path.iterdir()) == []


def test_a_program_that_changes_meanwhile_makes_no_point(programs, tmp_path, monkeypatch):
    versions = iter(["before", "after"])
    monkeypatch.setattr(points, "fingerprint", lambda paths: next(versions))
    with pytest.raises(PointError, match="was changed meanwhile"):
        PointStore(tmp_path).make(POINT, SOURCE)


def test_lost_frames_are_a_failure(programs, tmp_path):
    with pytest.raises(PointError, match="10 of 11 frames"):
        PointStore(tmp_path).make(POINT, dataclasses.replace(SOURCE, frames=11))


def test_one_run_at_a_time_and_leftovers_go(tmp_path):
    point_store = PointStore(tmp_path)
    (tmp_path / "unfinished-1.nvc").touch()
    (tmp_path / ".unfinished-1.nvc.partial").touch()
    with point_store.lock():
        assert [path.name for path in tmp_path.iterdir()] == ["lock"]
        with pytest.raises(SystemExit, match="another run"), PointStore(tmp_path).lock():
            pass


def test_processes_give_json_or_say_why_not():
    def python(code: str) -> list[str]:
        return [sys.executable, "-c", code]

    printing = "import os; print('x'); print('{\"n\": %s}' % os.environ['OMP_NUM_THREADS'])"
    assert store._run(python(printing), 3) == {"n": 3}
    with pytest.raises(PointError, match="no such luck"):
        store._run(python("raise SystemExit('no such luck')"), 1)
    with pytest.raises(PointError, match="expected JSON"):
        store._run(python("pass"), 1)


def _run(point_store: PointStore, *models: str, minutes: float | None = None) -> RateDistortionRun:
    curves = [CurveSpec(Variant(model), "fast") for model in models]
    return RateDistortionRun(point_store, curves, RunSettings(threads=1), minutes)


def test_a_run_makes_everything_and_goes_on_from_there(programs, tmp_path):
    run = _run(PointStore(tmp_path), "hnerv", "hnerv-reference")
    run.measure_clip(SOURCE)
    assert (run.failures, run.missing_points) == ([], 0)
    ours = [row["series"] for row in run.rows if row["kind"] != "anchor"]
    assert ours == ["hnerv-fast"] * 2 + ["hnerv-reference-fast"] * 2
    matched, anchor = run.equal_bytes
    assert matched["rate"] == 1 and anchor["settings"]["bytes"] == matched["bytes"]
    count = len(programs.commands)
    again = _run(PointStore(tmp_path), "hnerv", "hnerv-reference")
    again.measure_clip(SOURCE)
    assert len(programs.commands) == count
    assert json.dumps(again.rows) == json.dumps(run.rows)


def test_a_failing_point_does_not_stop_the_others(programs, tmp_path, capsys):
    programs.fail = "0.05"
    run = _run(PointStore(tmp_path), "hnerv", "hnerv-reference")
    run.measure_clip(SOURCE)
    assert run.failures == ["one hnerv-fast bpp 0.05: it broke"]
    assert run.missing_points == 1  # the reference's point that needs its time
    assert "FAILED" in capsys.readouterr().out
    assert sum(row["kind"] == "reference" for row in run.rows) == 1


def test_nothing_is_begun_after_the_time(programs, tmp_path):
    point_store = PointStore(tmp_path)
    kept = point_store.make(anchor_point("x265-medium", 32, 1), SOURCE)
    run = _run(point_store, "hnerv", minutes=0.0)
    run.measure_clip(SOURCE)
    assert run.rows == [kept] and run.failures == []
    assert run.missing_points > 30


def test_anchors_of_earlier_results_are_not_made_again(programs, tmp_path):
    point = anchor_point("x264-medium", 27.0, 1)
    earlier = PointStore(tmp_path / "earlier")
    row = earlier.make(point, SOURCE)
    network = earlier.make(POINT, SOURCE)
    made = len(programs.commands)
    results = {"clips": [{"name": "one", "planes": "abc"}], "points": [row, network]}
    point_store = PointStore(tmp_path / "later")
    assert point_store.adopt(results, [dataclasses.replace(SOURCE, planes="abd")]) == 0
    assert point_store.adopt(results, [SOURCE]) == 1
    assert point_store.adopt(results, [SOURCE]) == 0
    assert point_store.find(point, SOURCE) == row
    assert point_store.find(POINT, SOURCE) is None
    assert len(programs.commands) == made
