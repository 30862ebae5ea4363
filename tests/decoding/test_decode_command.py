"""Options of `nvcodec decode` that change frame rate and size."""

from __future__ import annotations

import json

from tests.fixtures.commands import run_here


def test_size_and_frame_rate_options(stream, tmp_path):
    def run(*arguments):
        return run_here(["decode", stream, "-o", *arguments])

    done = run(str(tmp_path / "a.y4m"), "--size", "64x48", "--fps", "59.94", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["frames"], report["width"], report["height"]) == (29, 64, 48)
    assert b" W64 H48 F60000:1001 Ip A9:8 " in (tmp_path / "a.y4m").read_bytes()[:90]
    wrong = run(str(tmp_path / "b.y4m"), "--fps", "fast")
    assert wrong.returncode == 2 and "frame rate" in wrong.stderr
