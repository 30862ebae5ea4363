"""The golden streams, decoded by a second decoder that was written from docs/bitstream.md alone."""

import hashlib
import importlib.util
import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from nvcodec.container.chapters import write_chapters
from nvcodec.media import Chapter

HERE = Path(__file__).parent
FOLDERS = sorted(path for path in (HERE / "v1").iterdir() if path.is_dir())


def load():
    spec = importlib.util.spec_from_file_location("second_decoder", HERE / "second_decoder.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module", params=FOLDERS, ids=lambda path: path.name)
def stream(request):
    decoded = load().decode((request.param / "stream.nvc").read_bytes())
    expected = json.loads((request.param / "expected.json").read_text())
    with np.load(request.param / "planes.npz") as planes:
        return decoded, expected, dict(planes)


def test_symbols_and_steps(stream):
    decoded, expected, _ = stream
    digests = []
    for arrays in decoded["symbols"]:
        digest = hashlib.sha256()
        for array in arrays:
            digest.update(array.tobytes())
        digests.append(digest.hexdigest())
    assert digests == expected["symbols"]


def test_planes(stream):
    decoded, expected, planes = stream
    width, height = expected["size"]
    assert decoded["planes"]["y"].shape == (expected["frames"], height, width)
    assert decoded["planes"].keys() == planes.keys()
    pairs = [(decoded["planes"][name], planes[name]) for name in planes]
    assert all(ours.shape == theirs.shape for ours, theirs in pairs)
    error = np.concatenate(
        [np.abs(ours.astype(int) - theirs.astype(int)).ravel() for ours, theirs in pairs]
    )
    assert (error <= 1).mean() >= 0.999
    assert error.max() <= 3


def test_times(stream):
    decoded, expected, _ = stream
    assert decoded["pts"] == expected["pts"]
    assert decoded["durations"] == expected["durations"]


def test_tokens(stream):
    decoded, expected, _ = stream
    found = [number for ids in decoded["tokens"] for _, number in sorted(ids.items())]
    assert found == expected.get("tokens", [])


def test_packets(stream):
    decoded, expected, _ = stream
    tracks = sorted(decoded["packets"].items())
    digests = [
        hashlib.sha256(b"".join(data for _, data in packets)).hexdigest() for _, packets in tracks
    ]
    assert digests == expected["packets"]


def test_chapters_by_the_document():
    chapters = [
        Chapter(Fraction(-1, 8), Fraction(2), "Vorspann"),
        Chapter(Fraction(1), Fraction(1)),
    ]
    times = [(-125_000_000, 2_000_000_000, "Vorspann"), (1_000_000_000, 1_000_000_000, "")]
    assert load().read_chap(write_chapters(chapters)) == times
