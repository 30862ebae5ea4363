"""The command `nvcodec tokens`, tokens made from pixels, and conversion of inputs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import nvcodec
from nvcodec.cli import main
from nvcodec.container.probe import is_stream
from nvcodec.errors import ConfigError, VideoError
from nvcodec.tokens import open_tokens, reduce
from nvcodec.tokens.files import load, load_ids, load_rows
from nvcodec.tokens.from_pixels import grid_from_pixels, small_size
from nvcodec.tokens.inputs import grid_from, tokens_from

GOLDEN = Path(__file__).parents[1] / "golden" / "v1"
STORED = GOLDEN / "nerv-tokens-yuv420" / "stream.nvc"
WITHOUT = GOLDEN / "nerv-yuv420" / "stream.nvc"
FIELDS = [
    "file", "via", "tokens", "method", "grid", "width", "height", "from", "to", "tokenizer_id",
    "bits", "bytes_read", "file_bytes", "seconds", "note", "output",
]  # fmt: skip


def report(capsys, *arguments: object) -> dict:
    """Run the command and return its JSON."""
    assert main(["tokens", *map(str, arguments), "--json"]) == 0
    fields = json.loads(capsys.readouterr().out)
    assert list(fields) == FIELDS
    return fields


def refused(capsys, *arguments: object) -> str:
    """Check that the command fails with one line on stderr; return the line."""
    assert main(["tokens", *map(str, arguments)]) == 1
    out, error = capsys.readouterr()
    (line,) = error.splitlines()
    assert out == "" and line.startswith("nvcodec: error: ")
    return line


def test_stored_tokens_need_no_torch(tmp_path):
    code = (
        "import sys; from nvcodec.cli import main\n"
        f"assert main(['tokens', {str(STORED)!r}, '--budget', '9', '--reduce', 'bits', '-o', 'a.npy',"
        " '--json']) == 0\n"
        f"assert main(['tokens', {str(STORED)!r}, '-o', 'a.safetensors']) == 0\n"
        "assert 'torch' not in sys.modules and 'av' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    with open_tokens(STORED) as reader:
        grid = reader.grid()
    np.testing.assert_array_equal(load_ids(tmp_path / "a.npy"), reduce(grid, "bits", 9).ids)
    np.testing.assert_array_equal(load(tmp_path / "a.safetensors").ids, grid.indices.reshape(-1))


def test_report(capsys, tmp_path):
    fields = report(capsys, STORED)
    assert (fields["via"], fields["method"], fields["note"]) == ("stream", "all", "")
    assert fields["tokens"] == np.prod(fields["grid"])
    assert 0 < fields["bytes_read"] < 0.1 * fields["file_bytes"]
    assert fields["file_bytes"] == STORED.stat().st_size and fields["seconds"] > 0
    # The tokens alone take less than all bytes read, which include headers.
    assert 0 < fields["bits"] < 8 * fields["bytes_read"]
    rows = tmp_path / "a.jsonl"
    fields = report(capsys, STORED, "--budget", 7, "--reduce", "keydelta", "-o", rows)
    (row,) = load_rows(rows)
    assert len(row["token_ids"]) == fields["tokens"] == 7 and row["video_id"] == str(STORED)
    assert main(["tokens", str(STORED)]) == 0
    line = capsys.readouterr().out
    assert "tokens by all" in line and "via stream" in line and "bytes read" in line


def test_budget_above_the_number_of_tokens_keeps_all(capsys, caplog):
    fields = report(capsys, STORED, "--budget", 5000)
    assert fields["tokens"] == np.prod(fields["grid"])
    assert fields["note"].endswith("5000 were asked for: these are all")
    assert fields["note"] in caplog.text


def test_time_range(capsys):
    whole = report(capsys, STORED)
    middle = (whole["from"] + whole["to"]) / 2
    part = report(capsys, STORED, "--from", middle)
    assert part["tokens"] < whole["tokens"] and part["to"] == whole["to"]
    assert report(capsys, STORED, "--fps", 0.01)["grid"][0] == 1
    assert "no token is shown" in refused(capsys, STORED, "--from", 1000)
    assert "--from before --to" in refused(capsys, STORED, "--from", 2, "--to", 1)


def test_bad_input(capsys, tmp_path):
    other = tmp_path / "a.mp4"
    other.write_bytes(b"no video")
    assert "not an .nvc file" in refused(capsys, other, "--via", "stream")
    assert "holds no tokens" in refused(capsys, WITHOUT, "--via", "stream")
    assert "cannot be read" in refused(capsys, tmp_path / "none.nvc")
    assert "at least 1 token, got 0" in refused(capsys, STORED, "--budget", 0)
    assert "ends in .safetensors, .npy, .jsonl" in refused(capsys, STORED, "-o", "a.pt")
    assert "--reduce bits needs --budget" in refused(capsys, STORED, "--reduce", "bits")
    existing = tmp_path / "a.npy"
    existing.write_bytes(b"precious")
    assert "pass -y" in refused(capsys, STORED, "-o", existing)
    assert existing.read_bytes() == b"precious"
    assert main(["tokens", str(STORED), "-o", str(existing), "-y"]) == 0
    damaged = tmp_path / "d.nvc"
    data = bytearray(STORED.read_bytes())
    damaged.write_bytes(data[:100])
    assert main(["tokens", str(damaged), "--via", "stream"]) == 1
    with pytest.raises(SystemExit):
        main(["tokens", str(STORED), "--reduce", "magic"])


def test_any_video_has_tokens(capsys, blocks, make_clip, tmp_path):
    clip = make_clip(frames=14, size=(400, 200))
    fields = report(capsys, clip, "--tokenizer", blocks, "-o", tmp_path / "a.npy")
    # 400x200 becomes 320x160; 14 frames are one time step of one frame and then groups of four.
    assert fields["grid"] == [5, 5, 10] and (fields["width"], fields["height"]) == (320, 160)
    assert (fields["via"], fields["bits"]) == ("pixels", None)
    assert fields["bytes_read"] == fields["file_bytes"] == clip.stat().st_size
    assert (fields["from"], fields["to"]) == (0, pytest.approx(14 / 25))
    assert load_ids(tmp_path / "a.npy").shape == (5, 5, 10)
    part = report(capsys, clip, "--tokenizer", blocks, "--from", 0.3, "-o", tmp_path / "b.npy")
    ids = load_ids(tmp_path / "b.npy")
    np.testing.assert_array_equal(ids, load_ids(tmp_path / "a.npy")[-part["grid"][0] :])
    assert "made from pixels" in refused(
        capsys, clip, "--tokenizer", blocks, "--budget", 5, "--reduce", "bits"
    )


def test_a_stream_without_tokens_is_decoded(capsys, blocks):
    fields = report(capsys, WITHOUT, "--tokenizer", blocks, "--budget", 4)
    assert fields["via"] == "pixels" and fields["tokens"] == 4
    # Time steps restart with every segment of the stream.
    info = nvcodec.inspect(WITHOUT)
    steps = sum(1 + -(-(frames - 1) // 4) for _, frames in info.segments)
    assert fields["grid"][0] == steps
    forced = report(capsys, STORED, "--via", "pixels", "--tokenizer", blocks)
    assert forced["via"] == "pixels" and forced["grid"][0] == report(capsys, STORED)["grid"][0]


def test_pixels_and_stored_tokens_agree(blocks):
    # Tokens made from the pictures have the same shape and times as the stored ones.
    with open_tokens(STORED) as reader:
        stored = reader.grid()
        size = reader.size
    made = grid_from_pixels(STORED, name=blocks, size=size)
    assert made.shape == stored.shape and made.size == stored.size
    np.testing.assert_allclose(made.starts, stored.starts)
    np.testing.assert_allclose(made.ends, stored.ends)


def test_time_steps_restart_after_129_frames(blocks, make_clip):
    clip = make_clip(frames=140, size=(32, 32))
    grid = grid_from_pixels(clip, name=blocks)
    assert grid.shape == (33 + 4, 1, 1)
    lengths = grid.ends - grid.starts
    assert lengths[33] == pytest.approx(0.04) and lengths[1:33] == pytest.approx(0.16)
    late = grid_from_pixels(clip, name=blocks, start=5.3)
    np.testing.assert_array_equal(late.digits, grid.digits[-late.shape[0] :])
    with pytest.raises(ConfigError, match="nothing can be shown"):
        grid_from_pixels(clip, name=blocks, start=99)


@pytest.mark.parametrize(
    ("size", "small"),
    [((1280, 720), (320, 192)), ((720, 1280), (192, 320)), ((176, 144), (192, 160)),
     ((8, 2000), (32, 320)), ((1, 1), (32, 32)), ((320, 240), (320, 256))],
)  # fmt: skip
def test_small_sizes(size, small):
    assert small_size(*size) == small


def test_kinds_of_inputs(grid, tmp_path):
    tokens = reduce(grid, "tome", 5)
    assert tokens_from(tokens, 3) is tokens and len(tokens_from(grid, 3)) == 3
    assert tokens_from(grid).whole and grid_from(grid) is grid
    with open_tokens(STORED) as reader:
        stored = grid_from(reader)
        np.testing.assert_array_equal(stored.digits, reader.grid().digits)
    np.testing.assert_array_equal(grid_from(STORED).digits, stored.digits)
    assert is_stream(STORED) and not is_stream(__file__) and not is_stream(tmp_path)
    with pytest.raises(VideoError, match="cannot be read"):
        is_stream(tmp_path / "none")
