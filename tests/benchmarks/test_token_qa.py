"""Questions about procedural clips are answered by what the clips show."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from benchmarks import token_pictures, token_qa
from benchmarks.token_questions import COLOUR, DIRECTION, KINDS, SIDE, make
from benchmarks.token_sources import BUDGETS, SOURCES, places, source
from nvcodec.tokens.tokenizer import VideoTokenizer


@pytest.fixture(scope="module")
def pictures() -> token_pictures.Pictures:
    return token_pictures.load()


def in_front(video: torch.Tensor) -> torch.Tensor:
    """Where something is that strong in colour: backgrounds are pale."""
    wide = video.float()
    return (wide.amax(2) - wide.amin(2)) > 140


def test_things_move_as_the_answers_say(pictures):
    clips = make("moving", pictures, np.random.default_rng(0), 12)
    place = KINDS["moving"].index(DIRECTION)
    seen = in_front(clips.video)
    across = torch.arange(SIDE).float()
    checked = 0
    for mask, answer in zip(seen, clips.answers[:, place], strict=True):
        if not mask[[0, -1]].flatten(1).any(1).all():
            continue
        ends = [
            ((mask[t] * across).sum() / mask[t].sum(), (mask[t].T * across).sum() / mask[t].sum())
            for t in (0, -1)
        ]
        x, y = (float(late - early) for early, late in zip(*ends, strict=True))
        found = {"left": -x, "right": x, "up": -y, "down": y}
        assert max(found, key=lambda name: found[name]) == DIRECTION.options[answer]
        checked += 1
    assert checked >= 6


def test_answers_are_balanced(pictures):
    random = np.random.default_rng(1)
    for kind, asked in KINDS.items():
        clips = make(kind, pictures, random, 3)
        assert clips.video.shape == (3, 13, 3, 128, 128) and clips.video.dtype == torch.uint8
        assert clips.answers.shape == (3, len(asked))
        assert (clips.answers < [len(question.options) for question in asked]).all()
    assert COLOUR.options == ("red", "green", "blue", "yellow")


@pytest.mark.parametrize("budget", BUDGETS)
def test_every_source_has_as_many_vectors(pictures, budget):
    tokenizer = VideoTokenizer.untrained((4, 6, 8, 8, 8), (8, 8, 8))
    clips = make("moving", pictures, np.random.default_rng(2), 13).video
    for name in SOURCES:
        vectors = source(name, budget, tokenizer, clips)(clips[:2])
        assert vectors.shape[:2] == (2, budget) and vectors.isfinite().all()
        assert places(name, budget).shape == (budget, 3)


def test_a_small_network_learns(tmp_path):
    out = tmp_path / "out.json"
    options = ["--reader", "probe", "--clips", "4", "--tests", "4", "--steps", "8", "--batch", "4"]
    token_qa.main([*options, "--sources", "tokens", "--budgets", "16", "--out", str(out)])
    (row,) = json.loads(out.read_text())["results"]["rows"]
    assert set(row["accuracy"]) == {q.name for asked in KINDS.values() for q in asked}
    assert (
        set(row["controls"]) == {"another clip", "nothing"} and 0 <= row["reversed"]["turned"] <= 1
    )
