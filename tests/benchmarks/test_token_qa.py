"""Tests of the questions about procedural clips: answers agree with the pictures, readers learn."""

from __future__ import annotations

import argparse
import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from benchmarks.harness import record
from benchmarks.procedural.pictures import Pictures, load_pictures
from benchmarks.tokens import qa, vector_sources
from benchmarks.tokens.clip_vectors import ClipVectors, load_clips
from benchmarks.tokens.language_model_readers import ClipProjector
from benchmarks.tokens.prompts import describe_scene, examples, question_prompt
from benchmarks.tokens.questions import COLOUR, DIRECTION, KINDS, SIDE, draw_clips
from benchmarks.tokens.vector_sources import BUDGETS, QUICK, make_source, places
from benchmarks.tokens.word_alignment import align_with_words
from nvcodec.tokenizer.tokenizer import VideoTokenizer


@pytest.fixture(scope="module")
def pictures() -> Pictures:
    return load_pictures()


def is_foreground(video: torch.Tensor) -> torch.Tensor:
    """Return a mask of the objects, which are strong in colour; backgrounds are pale."""
    wide = video.float()
    return (wide.amax(2) - wide.amin(2)) > 140


def test_things_move_as_the_answers_say(pictures):
    clips = draw_clips("moving", pictures, np.random.default_rng(0), 12)
    place = KINDS["moving"].index(DIRECTION)
    seen = is_foreground(clips.video)
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
    for kind, questions in KINDS.items():
        clips = draw_clips(kind, pictures, random, 3)
        assert clips.video.shape == (3, 13, 3, 128, 128) and clips.video.dtype == torch.uint8
        assert clips.answers.shape == (3, len(questions))
        assert (clips.answers < [len(question.options) for question in questions]).all()
    assert COLOUR.options == ("red", "green", "blue", "yellow")


@pytest.mark.parametrize("budget", BUDGETS)
def test_every_source_has_as_many_vectors(pictures, budget):
    tokenizer = VideoTokenizer.untrained((4, 6, 8, 8, 8), (8, 8, 8))
    clips = draw_clips("moving", pictures, np.random.default_rng(2), 13).video
    for name in QUICK:
        vectors = make_source(name, budget, tokenizer, clips)(clips[:2])
        assert vectors.shape[:2] == (2, budget) and vectors.isfinite().all()
        assert places(name, budget).shape == (budget, 3)


def test_latents_of_a_clips_own_network_are_a_source(pictures, monkeypatch, tmp_path):
    monkeypatch.setattr(vector_sources, "_OWN_EPOCHS", 1)
    monkeypatch.setattr(record, "FILES", tmp_path)
    clips = draw_clips("moving", pictures, np.random.default_rng(2), 2).video
    tokenizer = VideoTokenizer.untrained((4, 6, 8, 8, 8), (8, 8, 8))
    many, few = (
        make_source("latents", budget, tokenizer, clips).describe(clips)
        for budget in reversed(BUDGETS)
    )
    assert many.shape[:2] == (2, 64) and few.shape[:2] == (2, 16)
    assert len(list(tmp_path.rglob("*.pt"))) == 2  # fitted once, whatever is asked for
    four = many.view(2, 4, 2, 2, 2, 2, -1).mean((3, 5)).flatten(1, 3)
    torch.testing.assert_close(few, four, rtol=1e-4, atol=1e-5)


def test_a_small_network_learns(tmp_path):
    out = tmp_path / "out.json"
    options = ["--reader", "probe", "--clips", "4", "--tests", "4", "--steps", "8", "--batch", "4"]
    options += ["--sources", "tokens", "--budgets", "16", "--out", str(out)]
    qa.main(options)
    found = json.loads(out.read_text())
    names = list(dict.fromkeys(q.name for questions in KINDS.values() for q in questions))
    rows = found["results"]["rows"]
    assert [list(row["accuracy"]) for row in rows] == [names]
    assert all(set(row["controls"]) == {"another clip", "nothing"} for row in rows)
    (turned,) = (row["reversed"]["turned"] for row in rows if "reversed" in row)
    assert 0 <= turned <= 1
    table = found["tables"]["main"]
    assert table["columns"] == ["shown", "vectors", *names]
    assert [row[0] for row in table["rows"]] == [
        "tokens",
        "of another clip",
        "of nothing",
        "chance",
    ]
    assert all("" not in row for row in table["rows"])


def test_vectors_come_near_words():
    random, generator = np.random.default_rng(3), torch.Generator().manual_seed(3)
    width, key = 24, ("tokens", 16)
    words = {option: place for place, option in enumerate(COLOUR.options)}
    model = SimpleNamespace(
        embedding=torch.randn(len(words), width, generator=generator),
        answers=lambda question: torch.tensor([words[one] for one in question.options]),
    )
    answers = random.integers(len(words), size=(64, 1))
    # One vector, anywhere, says it; the others are noise.
    vectors = torch.randn(64, 16, 8, generator=generator)
    vectors[torch.arange(64), torch.from_numpy(random.integers(16, size=64)), answers[:, 0]] += 8
    clips = {"panning": ClipVectors((COLOUR,), {key: vectors}, answers)}
    projector = ClipProjector(8, width, 1.0)
    where = places(*key)

    def accuracy() -> float:
        directions = F.normalize(model.embedding - model.embedding.mean(0), dim=1)
        with torch.no_grad():
            likeness = F.normalize(projector(vectors, where), dim=2) @ directions.T
        return float((likeness.amax(1).argmax(1).numpy() == answers[:, 0]).mean())

    before = accuracy()
    align_with_words(projector, model, clips, key, where, steps=250, random=random)
    assert before < 0.6 and accuracy() > 0.9


def test_examples_answer_every_question():
    text = examples()
    for kind, questions in KINDS.items():
        words = {question.name: question.options[0] for question in questions}
        assert all(word in describe_scene(kind, words) for word in words.values())
        for question in questions:
            found = re.findall(rf"{re.escape(question_prompt(question))} (\w+)", text)
            assert found and set(found) <= set(question.options)


def test_clips_are_kept(tmp_path):
    given = {"clips": 2, "tests": 1, "seed": 0, "tokenizer": "bundled:small"}
    given |= {"sources": ["tokens", "frame"], "budgets": [16]}
    options = argparse.Namespace(**given, cache=tmp_path / "clips.safetensors")
    drawn = load_clips(options)
    for before, after in zip(drawn, load_clips(options), strict=True):
        for kind, vectors_of_kind in before.items():
            assert (after[kind].answers == vectors_of_kind.answers).all()
            for key, vectors in vectors_of_kind.vectors.items():
                torch.testing.assert_close(after[kind].vectors[key], vectors, rtol=0, atol=0)
    options.budgets = [64]
    with pytest.raises(SystemExit, match="tokens 64"):
        load_clips(options)
