"""Accuracy of a reader: on clips for tests, with the steps reversed, and on scenes in words."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.tokens.clip_vectors import ClipVectors
from benchmarks.tokens.language_model_readers import ClipProjector, LanguageModel
from benchmarks.tokens.prompts import answers_by_name, describe_scene
from benchmarks.tokens.questions import DIRECTION, KINDS

_BATCH = 25  # Clips at a time in tests.
_DESCRIBED_SCENES = 25  # Scenes of each kind that are described in words.
QUESTIONS = tuple(dict.fromkeys(question.name for kind in KINDS.values() for question in kind))
_OPPOSITE_DIRECTION = np.array([1, 0, 3, 2])


@torch.no_grad()
def question_accuracy(
    test: dict[str, ClipVectors],
    key: tuple[str, int],
    reader: Any,
    projector: ClipProjector,
    positions: Tensor,
    change: Any,
) -> dict[str, Any]:
    """Return the share of right answers by question, with a 95 % interval (normal approximation).

    Args:
        test: Clips for tests, by kind.
        key: Source and budget of the vectors.
        reader: The language model or the small network.
        projector: The trained projector.
        positions: Time, row and column of each vector.
        change: Function that is applied to the vectors first.
    """
    right: dict[str, list[bool]] = {}
    chance: dict[str, float] = {}
    for clips in test.values():
        vectors = change(clips.vectors[key])
        for start in range(0, len(vectors), _BATCH):
            logits = reader(projector(vectors[start : start + _BATCH], positions), clips.questions)
            for question, each, truth in zip(clips.questions, logits, clips.answers.T, strict=True):
                hits = each.argmax(1).numpy() == truth[start : start + _BATCH]
                right.setdefault(question.name, []).extend(hits.tolist())
                chance[question.name] = 1 / len(question.options)
    return {
        name: {
            "share": float(np.mean(hits)),
            "interval": 1.96 * float(np.std(hits)) / math.sqrt(len(hits)),
            "questions": len(hits),
            "chance": chance[name],
        }
        for name, hits in right.items()
    }


@torch.no_grad()
def reversal(
    test: dict[str, ClipVectors],
    key: tuple[str, int],
    reader: Any,
    projector: ClipProjector,
    positions: Tensor,
) -> dict[str, float]:
    """Return the share of answers about directions that reverse with time, and that stay.

    Single tokens tell how things move, so the order of the steps alone need not decide.
    """
    vectors = test["moving"].vectors[key]
    steps = vectors.view(len(vectors), 4, -1, vectors.shape[2])
    backwards = steps.flip(1).flatten(1, 2)
    answers = [
        np.concatenate(
            [
                reader(projector(batch, positions), [DIRECTION])[0].argmax(1)
                for batch in order.split(_BATCH)
            ]
        )
        for order in (vectors, backwards)
    ]
    return {
        "turned": float((answers[1] == _OPPOSITE_DIRECTION[answers[0]]).mean()),
        "same": float((answers[1] == answers[0]).mean()),
    }


@torch.no_grad()
def accuracy_on_words(model: LanguageModel, seed: int) -> dict[str, float]:
    """Return the share of right answers if the scene is described in words, by question.

    Args:
        model: The language model.
        seed: Seed of the scenes.
    """
    random = np.random.default_rng(seed)
    right: dict[str, list[bool]] = {name: [] for name in QUESTIONS}
    for _ in range(_DESCRIBED_SCENES):
        for kind, questions in KINDS.items():
            answers = [int(random.integers(len(question.options))) for question in questions]
            words = [
                question.options[answer]
                for question, answer in zip(questions, answers, strict=True)
            ]
            scene = describe_scene(kind, answers_by_name(kind, words))
            embedded = F.embedding(model.ids(scene), model.embedding)[None]
            logits = model(embedded, questions)
            for question, each, answer in zip(questions, logits, answers, strict=True):
                right[question.name].append(int(each.argmax()) == answer)
    return {name: float(np.mean(hits)) for name, hits in right.items()}
