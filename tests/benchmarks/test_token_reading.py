"""Test of the benchmark of reading tokens, on a tiny clip."""

from __future__ import annotations

import json

from benchmarks.tokens import read_speed


def test_what_it_tells(make_clip, blocks, tmp_path):
    source = make_clip("a.mkv", frames=10, size=(100, 70), codec="ffv1")
    out = tmp_path / "out.json"
    read_speed.main(
        ["--clips", str(source), "--out", str(out), "--tokenizer", blocks, "--model", "nerv",
         "--frames", "9", "--segment", "5", "--bpp", "2", "--rounds", "2", "--seconds", "0"]
    )  # fmt: skip
    written = json.loads(out.read_text())
    one = written["results"]["clips"]["a.mkv"]
    assert (one["frames"], one["segments"], one["grid"], one["tokens"]) == (9, 2, [4, 3, 4], 48)
    assert one["as_made"] and one["elsewhere"] and 0 <= one["agreement_of_pixels"] < 1
    assert 0 < one["share_read"] < 0.5
    assert 0 < one["bits"]["coded"] < one["bits"]["stored"]
    assert len(one["tokens_per_second"]["values"]) == 2
    assert one["pixels_time_over_reading"]["median"] > 0
    assert [len(written["tables"][name]["rows"]) for name in ("speed", "size")] == [1, 1]
