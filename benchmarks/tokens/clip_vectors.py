"""Procedural clips as the vectors that readers are shown, drawn or kept in a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from benchmarks.procedural import pictures as token_pictures
from benchmarks.tokens.questions import KINDS, Ints, Question, make
from benchmarks.tokens.vector_sources import Scaled, source
from nvcodec.tokenizer.tokenizer import VideoTokenizer

_CHUNK = 50


@dataclass(frozen=True, slots=True)
class Shown:
    """Clips of one kind as vectors.

    Attributes:
        questions: Asked about each.
        vectors: By source and budget, shape (N, budget, channels).
        answers: Shape (N, questions).
    """

    questions: tuple[Question, ...]
    vectors: dict[tuple[str, int], Tensor]
    answers: Ints

    def asked(self, names: Sequence[str]) -> Shown:
        """With some of the questions only."""
        kept = [place for place, one in enumerate(self.questions) if one.name in names]
        return Shown(
            tuple(self.questions[place] for place in kept), self.vectors, self.answers[:, kept]
        )


def shown_clips(options: Any) -> tuple[dict[str, Shown], dict[str, Shown]]:
    """Clips to train and to measure on, by kind; drawn, unless a file has them.

    Args:
        options: `clips` and `tests`, how many of each kind; `sources` and `budgets`; `seed`;
            `tokenizer`, a name; `cache`, a file to keep them in, or None.

    Raises:
        SystemExit: If the file has not all that is asked for.
    """
    wanted = [(name, budget) for name in options.sources for budget in options.budgets]
    if options.cache and options.cache.exists():
        return _kept(options.cache, wanted, options.clips, options.tests)
    tokenizer = VideoTokenizer.from_pretrained(options.tokenizer)
    random = np.random.default_rng(options.seed)
    pictures = token_pictures.load()
    some = torch.cat([make(kind, pictures, random, min(24, options.clips)).video for kind in KINDS])
    ways = {key: source(*key, tokenizer, some) for key in wanted}
    train = {kind: _shown(kind, pictures, random, options.clips, ways) for kind in KINDS}
    apart = token_pictures.load(apart=True)
    test = {kind: _shown(kind, apart, random, options.tests, ways) for kind in KINDS}
    if options.cache:
        save_file(
            {
                " ".join(map(str, (part, kind, *what))): values.contiguous()
                for part, clips in (("train", train), ("test", test))
                for kind, shown in clips.items()
                for what, values in (
                    *shown.vectors.items(),
                    (("answers",), torch.from_numpy(shown.answers)),
                )
            },
            options.cache,
        )
    return train, test


def _kept(
    path: Path, wanted: Sequence[tuple[str, int]], clips: int, tests: int
) -> tuple[dict[str, Shown], dict[str, Shown]]:
    """The first of the clips in a file."""
    kept = load_file(path)

    def first(part: str, kind: str, *what: object) -> Tensor:
        name, count = " ".join(map(str, (part, kind, *what))), clips if part == "train" else tests
        if name not in kept or len(kept[name]) < count:
            raise SystemExit(f"{path} has not {count} of '{name}': give another --cache")
        return kept[name][:count]

    train, test = (
        {
            kind: Shown(
                KINDS[kind],
                {key: first(part, kind, *key) for key in wanted},
                first(part, kind, "answers").numpy(),
            )
            for kind in KINDS
        }
        for part in ("train", "test")
    )
    return train, test


def _shown(
    kind: str,
    pictures: token_pictures.Pictures,
    random: np.random.Generator,
    count: int,
    ways: dict[tuple[str, int], Scaled],
) -> Shown:
    """Draw clips, and keep their vectors only."""
    vectors: dict[tuple[str, int], list[Tensor]] = {key: [] for key in ways}
    answers = []
    for start in range(0, count, _CHUNK):
        clips = make(kind, pictures, random, min(_CHUNK, count - start))
        answers.append(clips.answers)
        for key, way in ways.items():
            vectors[key].append(way(clips.video))
    return Shown(
        KINDS[kind],
        {key: torch.cat(parts) for key, parts in vectors.items()},
        np.concatenate(answers),
    )
