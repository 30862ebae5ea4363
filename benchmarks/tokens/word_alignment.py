"""First stage of training a projector: its outputs come near the words of the right answers.

This stage needs the embedding of the language model only. At about a hundred times as many clips
per second as through the model, the projector learns where colours and directions are in the
model's space. Answers that take several vectors together are left to the second stage.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.tokens.clip_vectors import ClipVectors
from benchmarks.tokens.language_model_readers import ClipProjector, LanguageModel

_RATE = 3e-3
_BATCH = 48  # Clips per optimiser step.
_SHARPNESS = 3.0  # Logarithm of the initial factor in the softmax over options.


def align_with_words(
    projector: ClipProjector,
    model: LanguageModel,
    clips: dict[str, ClipVectors],
    key: tuple[str, int],
    positions: Tensor,
    *,
    steps: int,
    random: np.random.Generator,
) -> None:
    """Train a projector so that its outputs are near the embeddings of the right answers.

    Args:
        projector: The projector; it is changed.
        model: The language model, of which the embedding is used.
        clips: Clips for training, by kind.
        key: Source and budget of their vectors.
        positions: Time, row and column of each vector.
        steps: Number of optimiser steps.
        random: Random number generator that chooses clips.
    """
    directions = {
        question.name: F.normalize(words - words.mean(0), dim=1)
        for clips_of_kind in clips.values()
        for question in clips_of_kind.questions
        for words in [model.embedding[model.answers(question)]]
    }
    sharpness = nn.Parameter(torch.tensor(_SHARPNESS))
    optimiser = torch.optim.AdamW([*projector.parameters(), sharpness], _RATE, weight_decay=0.01)
    kinds = list(clips.values())
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = _RATE * (0.5 + 0.5 * math.cos(math.pi * step / steps))
        clips_of_kind = kinds[step % len(kinds)]
        chosen = random.integers(len(clips_of_kind.answers), size=_BATCH)
        projected = F.normalize(projector(clips_of_kind.vectors[key][chosen], positions), dim=2)
        answers = torch.from_numpy(clips_of_kind.answers[chosen])
        losses = []
        for column, question in enumerate(clips_of_kind.questions):
            similarity = projected @ directions[question.name].T * sharpness.exp()
            # One vector that says a word clearly is enough.
            losses.append(F.cross_entropy(similarity.logsumexp(1), answers[:, column]))
        optimiser.zero_grad()
        torch.stack(losses).mean().backward()
        optimiser.step()
