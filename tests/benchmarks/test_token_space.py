"""Tests of the measurements of tokens: probes, retrieval, stability, and their cost for pictures."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from benchmarks.harness import record
from benchmarks.procedural.scenes import Scenes
from benchmarks.tokens import linear_probe, rate_overhead, real_clips, retrieval, shared_space
from nvcodec.tokenizer.tokenizer import VideoTokenizer


@pytest.fixture
def untrained(tmp_path, monkeypatch):
    """A folder with a small untrained tokenizer; files of the benchmarks go to a temporary folder."""
    monkeypatch.setattr(record, "FILES", tmp_path / "files")
    torch.manual_seed(0)
    VideoTokenizer.untrained((8,) * 5, (8,) * 3).save_pretrained(tmp_path / "tokenizer")
    return tmp_path / "tokenizer"


@pytest.fixture
def folder(make_clip, tmp_path):
    """A folder with two clips."""
    found = make_clip("a.mkv", frames=70, size=(64, 32), codec="ffv1").parent / "clips"
    found.mkdir()
    for name in ("a.mkv", "b.mkv"):
        made = make_clip(name, frames=70, size=(64, 32), codec="ffv1")
        made.rename(found / name)
    return found


def test_a_probe_reads_what_videos_have_in_common_and_not_what_each_has_turned():
    chance = np.random.default_rng(0)
    shape = (24, 4, 4, 4)
    classes = {name: chance.integers(0, n, shape) for name, n in linear_probe.CLASSES.items()}
    said = [np.eye(n)[classes[name]] for name, n in linear_probe.CLASSES.items()]
    common = np.concatenate(said, -1) + 0.1 * chance.normal(size=(*shape, 11))
    turns = np.linalg.qr(chance.normal(size=(24, 11, 11)))[0]
    turned = np.einsum("nthwc,ncd->nthwd", common, turns)
    alike, apart = (
        linear_probe.cross_validated(common, classes),
        linear_probe.cross_validated(turned, classes),
    )
    itself = linear_probe.within(turned, classes)
    for name, count in linear_probe.CLASSES.items():
        assert alike[name] > 0.95 and itself[name] > 0.8
        assert abs(apart[name] - 1 / count) < 0.15


def test_classes_of_cells():
    video = torch.zeros(1, 5, 3, 64, 64)
    video[:, :, 1, :32, :32] = 1
    motion = torch.zeros(1, 5, 2, 16, 16)
    motion[:, :, 0, :8, 8:] = -2
    motion[:, :, 1, 8:, :8] = 3
    motion[:, :, :, 8:, 8:] = 1
    found = linear_probe.labels(Scenes(video, motion, torch.zeros(1, 5, 1, 64, 64)))
    none = linear_probe.NONE
    assert found["colour"][0, 0].tolist() == [[1, none], [none, none]]
    assert found["luma"][0, 0].tolist() == [[150, 0], [0, 0]]
    assert found["direction"][0, 0].tolist() == [[none, 0], [3, none]]


def test_recall():
    first = np.array([[0.0, 0], [1, 0], [5, 5]])
    found = retrieval.recall(first, first[[1, 0, 2]], ["a", "a", "b"])
    assert (found.same, found.clip, found.count) == (pytest.approx(1 / 3), 1, 3)


def test_what_is_told_of_the_space(untrained, folder, tmp_path):
    out = tmp_path / "out.json"
    command = ["--clips", str(folder), "--out", str(out), "--tokenizer", str(untrained),
               "--videos", "1", "--more", "2", "--epochs", "1", "--own", "1"]  # fmt: skip
    shared_space.main(command)
    found = json.loads(out.read_text())["results"]
    rows = found["retrieval"]["rows"]
    assert rows["chance"] == {"same": 0.25, "clip": 0.5, "count": 4}
    assert rows["few: own latents, mean and deviation"]["count"] == 1
    assert all(0 <= one["across"]["luma"] <= 1 for one in found["probes"]["rows"].values())
    assert len(list(record.FILES.rglob("*.pt"))) == 6


def test_fits_are_not_done_again(untrained):
    pictures = torch.randint(256, (5, 3, 32, 32), dtype=torch.uint8)
    made = [linear_probe.own_latents(pictures, 1, seed) for seed in (0, 0, 1)]
    assert torch.equal(made[0].latents, made[1].latents)
    assert not torch.equal(made[0].latents, made[2].latents)
    assert len(list(record.FILES.rglob("*.pt"))) == 2


def test_what_is_told_of_clips(untrained, folder, tmp_path):
    out = tmp_path / "out.json"
    real_clips.main(
        ["--clips", str(folder), "--out", str(out), "--tokenizer", str(untrained),
         "--frames", "9", "--changed", "5"]
    )  # fmt: skip
    written = json.loads(out.read_text())
    one, total = written["results"]["clips"]["a.mkv"], written["results"]["all"]
    assert (one["frames"], one["grid"], one["tokens"]) == (9, [3, 1, 2], 6)
    assert total["tokens"] == 12 and 1 <= total["ids"]["used"] <= 12
    assert 1 <= total["ids"]["perplexity"] <= total["ids"]["used"] + 1e-9
    assert all(0 <= share <= 1 for share in one["changed"].values())
    assert 0 < one["preview_psnr"] < 30
    assert len(written["tables"]["clips"]["rows"]) == 3


def test_what_tokens_cost(untrained, folder, tmp_path, measured_here):
    out = tmp_path / "out.json"
    command = ["--clip", str(folder / "a.mkv"), "--out", str(out), "--tokenizer", str(untrained),
               "--models", "hnerv", "hnerv+boost", "--bpp", "2", "--frames", "5", "--resize", "64x32",
               "--epochs", "1"]  # fmt: skip
    rate_overhead.main(command)
    points = json.loads(out.read_text())["results"]["points"]
    ways = [(one["model"], one["latents"], one["fed"]) for one in points]
    assert ways == [
        ("hnerv", "private", False), ("hnerv", "both", True),
        ("hnerv+boost", "private", False), ("hnerv+boost", "shared", True),
        ("hnerv+boost", "both", True),
    ]  # fmt: skip
    for one in points:
        assert (one["token_bytes"] > 0) == (one["latents"] != "private")
        assert (one["change"] == 0) == (one["latents"] == "private")
