"""Every released stream decodes for ever: symbols exactly, samples within one 8-bit level."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

import nvcodec

FOLDER = Path(__file__).parent / "v1"
# The names are listed here, so that a lost fixture fails a test instead of removing one.
RELEASED = [
    "nerv-rgb",
    "nerv-yuv420",
    "hnerv-rgb",
    "hnerv-yuv420",
    "latentgrid-rgb",
    "latentgrid-yuv420",
    "latentgrid-predicted-rgb",
    "latentgrid-predicted-yuv420",
    "nervpp-rgb",
    "nervpp-yuv420",
    "nerv-boosted-yuv420",
    "hnerv-boosted-rgb",
    "nervpp-boosted-yuv420",
    "nirvana-rgb",
    "nirvana-predicted-yuv420",
    "ngp-rgb",
    "ngp-yuv420",
    "nerv-tokens-yuv420",
    "hnerv-both-yuv420",
    "hnerv-shared-rgb",
]

_spec = importlib.util.spec_from_file_location("golden_make", Path(__file__).parent / "make.py")
assert _spec is not None and _spec.loader is not None
make = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(make)


@pytest.mark.parametrize("name", RELEASED)
def test_released_stream_decodes(name: str) -> None:
    stream = (FOLDER / name / "stream.nvc").read_bytes()
    expected = json.loads((FOLDER / name / "expected.json").read_text())
    assert make.digest(stream) == expected["symbols"]
    with nvcodec.open(stream, device="cpu") as video:
        assert len(video) == expected["frames"]
        assert [video.info.width, video.info.height] == expected["size"]
        planes = video.planes(range(len(video)))
        assert planes.pts.tolist() == expected["pts"]
        assert planes.durations.tolist() == expected["durations"]
        packets = [
            make.hashlib.sha256(b"".join(p.data for p in video.reader.packets(track))).hexdigest()
            for track in video.reader.tracks
        ]
        assert packets == expected["packets"]
    if "tokens" in expected:
        assert make.ids(stream) == expected["tokens"]
    with np.load(FOLDER / name / "planes.npz") as known:
        pairs = [(known[plane], getattr(planes, plane)) for plane in ("y", "u", "v")]
    difference = np.concatenate([np.abs(a.astype(int) - b).ravel() for a, b in pairs])
    assert np.mean(difference <= 1) >= 0.999
    assert difference.max() <= 3


def test_no_released_stream_is_forgotten() -> None:
    assert sorted(RELEASED) == sorted(folder.name for folder in FOLDER.iterdir())
