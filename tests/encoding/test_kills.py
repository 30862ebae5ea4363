"""An encode that is killed at any step leaves what the next run resumes or cleans up by itself."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from nvcodec.container import Reader, Segment
from nvcodec.encoding.partial_file import PartialFile, check_targets, lock_targets, publish
from nvcodec.errors import OutputExistsError
from nvcodec.files import lock as locking

IDENTITY: dict[str, Any] = {"source": {"sha256": "0"}, "settings": {"seed": 0}}
# Every call that changes files, and what writes to them. Reads are steps, too.
_STEPS = ("open", "os.remove", "os.rename", "os.link", "os.truncate", "os.chmod", "os.chown")


def _store(targets: list[Path], stream: Path, **options: bool) -> list[int]:
    """Write a stream to targets as an encode does, without a fit; return how many segments it resumed."""
    options = {"resume": False, "overwrite": False, **options}
    files = [PartialFile(target) for target in targets]
    lock_targets(files, [stream])
    resumed = []
    try:
        check_targets(files, **options)
        with Reader(stream) as reader:
            for file in files:
                writer = file.open(IDENTITY, resume=options["resume"])
                if writer is None:
                    resumed.append(len(reader.segments))
                    continue
                with writer:
                    stored = writer.resumed.segments if writer.resumed else 0
                    resumed.append(stored)
                    if not stored:
                        writer.header(reader.header)
                    for number in range(stored, len(reader.segments)):
                        segment = reader.segment(number)
                        assert isinstance(segment, Segment)
                        writer.segment(segment)
                    writer.finish()
        publish(files)
    except BaseException as error:
        if not isinstance(error, _KilledError):
            for file in files:
                file.release()
        raise
    return resumed


class _KilledError(BaseException):
    """Ends a run as a kill does: nothing is cleaned up behind it."""


class _Countdown:
    """Steps until the kill; None while nothing is to be killed. An audit hook cannot be removed."""

    left: int | None = None

    def step(self, name: str, arguments: object = None) -> None:
        if self.left is not None and name in _STEPS:
            self.left -= 1
            if self.left < 0:
                raise _KilledError


@pytest.fixture(scope="module")
def countdown() -> _Countdown:
    counter = _Countdown()
    sys.addaudithook(counter.step)
    return counter


def _is_killed(run: Callable[[], object], countdown: _Countdown, step: int) -> bool:
    """Run until a step, and drop all locks there; return whether the run came that far."""
    with pytest.MonkeyPatch.context() as patch:
        for name, real in (("write", os.write), ("fsync", int)):
            # These are not audited. A write that is killed has stored the first half.
            def stop(descriptor: int, *data: Any, real: Callable[..., Any] = real) -> Any:
                if data and countdown.left == 0:
                    real(descriptor, data[0][: len(data[0]) // 2])
                countdown.step("open")
                return real(descriptor, *data)

            patch.setattr(os, name, stop)
        countdown.left = step
        try:
            run()
        except _KilledError:
            return True
        finally:
            countdown.left = None
            locking._close_in_child()
    return False


@pytest.fixture(scope="module")
def silent_stream() -> Path:
    return Path(__file__).parents[1] / "golden" / "v1" / "nerv-yuv420" / "stream.nvc"


@pytest.mark.parametrize("again", [{}, {"resume": True}, {"overwrite": True}])
@pytest.mark.parametrize(("ladder", "precious"), [(False, True), (True, False)])
def test_a_kill_at_any_step(tmp_path, silent_stream, countdown, again, ladder, precious):
    _store([tmp_path / "whole.nvc"], silent_stream)
    data, step = (tmp_path / "whole.nvc").read_bytes(), 0
    left_over = {f"{name}.nvc{end}" for name in "ab" for end in ("", ".partial", ".partial.json")}
    while True:
        folder = tmp_path / str(step)
        folder.mkdir()
        targets = [folder / "a.nvc", folder / "b.nvc"][: 1 + ladder]
        if precious:  # an encode that replaces a file, and what is left of it in all steps before
            targets[0].write_bytes(b"precious")
        options = {"overwrite": precious}
        run = partial(_store, targets, silent_stream, **options)
        if not _is_killed(run, countdown, step):
            break
        assert {path.name for path in folder.iterdir()} <= left_over
        # A target is whole at every moment.
        assert all(path.read_bytes() in (data, b"precious") for path in targets if path.exists())
        begun = any(path.name.endswith(".json") for path in folder.iterdir())
        try:
            _store(targets, silent_stream, **{**options, **again})
        except OutputExistsError as error:
            # Only without a word: finished work is neither thrown away nor taken up unasked.
            assert not again and ("--resume" in str(error) or targets[0].read_bytes() == data)
        except ValueError as error:
            assert "nothing to resume" in str(error) and again.get("resume") and not begun
        else:
            assert [path.read_bytes() for path in targets] == [data] * len(targets)
            assert {path.name for path in folder.iterdir()} == {path.name for path in targets}
        step += 1
    assert step > 10
