"""Brings what a projector makes of a clip near the words that answer questions about it.

A first stage of training, which needs no language model but its embedding: of some hundred times as
many clips a second as through the model, the projector learns where in the model's space colours and
directions are. What it takes several vectors to tell is left to the model.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.tokens.clip_vectors import Shown
from benchmarks.tokens.language_model_readers import LanguageModel, Projected

_RATE = 3e-3
_BATCH = 48  # clips
_SHARPNESS = 3.0  # of the softmax over options at first, as a logarithm


def near_words(
    projector: Projected,
    model: LanguageModel,
    clips: dict[str, Shown],
    key: tuple[str, int],
    where: Tensor,
    *,
    steps: int,
    random: np.random.Generator,
) -> None:
    """Train a projector.

    Args:
        projector: As it is to begin; changed.
        model: Whose words they are.
        clips: By kind, with their questions.
        key: Source and budget of their vectors.
        where: Places of these.
        steps: Of training.
        random: Chooses clips.
    """
    directions = {
        question.name: F.normalize(words - words.mean(0), dim=1)
        for shown in clips.values()
        for question in shown.questions
        for words in [model.embedding[model.answers(question)]]
    }
    sharpness = nn.Parameter(torch.tensor(_SHARPNESS))
    optimiser = torch.optim.AdamW([*projector.parameters(), sharpness], _RATE, weight_decay=0.01)
    kinds = list(clips.values())
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = _RATE * (0.5 + 0.5 * math.cos(math.pi * step / steps))
        shown = kinds[step % len(kinds)]
        chosen = random.integers(len(shown.answers), size=_BATCH)
        made = F.normalize(projector(shown.vectors[key][chosen], where), dim=2)
        answers = torch.from_numpy(shown.answers[chosen])
        losses = []
        for place, question in enumerate(shown.questions):
            likeness = made @ directions[question.name].T * sharpness.exp()
            # One vector that says a word clearly is enough.
            losses.append(F.cross_entropy(likeness.logsumexp(1), answers[:, place]))
        optimiser.zero_grad()
        torch.stack(losses).mean().backward()
        optimiser.step()
