"""Procedural clips as vectors for the readers, drawn or read from a cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from benchmarks.procedural.pictures import Pictures, load_pictures
from benchmarks.tokens.questions import KINDS, Ints, Question, draw_clips
from benchmarks.tokens.vector_sources import StandardisedSource, make_source
from nvcodec.tokenizer.tokenizer import VideoTokenizer

_CHUNK = 50  # Clips drawn at a time.


@dataclass(frozen=True, slots=True)
class ClipVectors:
    """Clips of one kind as vectors.

    Attributes:
        questions: Questions about each clip.
        vectors: Vectors by source and budget, shape (N, budget, channels).
        answers: Index of the true option of each question, shape (N, questions).
    """

    questions: tuple[Question, ...]
    vectors: dict[tuple[str, int], Tensor]
    answers: Ints

    def asked(self, names: Sequence[str]) -> ClipVectors:
        """Return the same clips with the questions of some names only."""
        indices = [index for index, question in enumerate(self.questions) if question.name in names]
        return ClipVectors(
            tuple(self.questions[index] for index in indices),
            self.vectors,
            self.answers[:, indices],
        )


def load_clips(options: Any) -> tuple[dict[str, ClipVectors], dict[str, ClipVectors]]:
    """Return clips for training and for tests, by kind; they are drawn unless the cache has them.

    Args:
        options: `clips` and `tests`, numbers of clips of each kind; `sources` and `budgets`, names
            and numbers of vectors; `seed`; `tokenizer`, a name; `cache`, a file, or None.

    Raises:
        SystemExit: If the cache does not have all of these clips.
    """
    wanted = [(name, budget) for name in options.sources for budget in options.budgets]
    if options.cache and options.cache.exists():
        return _read_cache(options.cache, wanted, options.clips, options.tests)
    tokenizer = VideoTokenizer.from_pretrained(options.tokenizer)
    random = np.random.default_rng(options.seed)
    pictures = load_pictures()
    sample = torch.cat(
        [draw_clips(kind, pictures, random, min(24, options.clips)).video for kind in KINDS]
    )
    sources = {key: make_source(*key, tokenizer, sample) for key in wanted}
    train = {kind: _draw_vectors(kind, pictures, random, options.clips, sources) for kind in KINDS}
    apart = load_pictures(for_tests=True)
    test = {kind: _draw_vectors(kind, apart, random, options.tests, sources) for kind in KINDS}
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


def _read_cache(
    path: Path, wanted: Sequence[tuple[str, int]], clips: int, tests: int
) -> tuple[dict[str, ClipVectors], dict[str, ClipVectors]]:
    """Return the first of the clips in a cache.

    Args:
        path: The file.
        wanted: Source and budget of the vectors.
        clips: Number of clips of each kind for training.
        tests: Number of clips of each kind for tests.

    Raises:
        SystemExit: If the file does not have all of these clips.
    """
    tensors = load_file(path)

    def first(part: str, kind: str, *what: object) -> Tensor:
        name, count = " ".join(map(str, (part, kind, *what))), clips if part == "train" else tests
        if name not in tensors or len(tensors[name]) < count:
            raise SystemExit(f"{path} does not have {count} of '{name}': give another --cache")
        return tensors[name][:count]

    train, test = (
        {
            kind: ClipVectors(
                KINDS[kind],
                {key: first(part, kind, *key) for key in wanted},
                first(part, kind, "answers").numpy(),
            )
            for kind in KINDS
        }
        for part in ("train", "test")
    )
    return train, test


def _draw_vectors(
    kind: str,
    pictures: Pictures,
    random: np.random.Generator,
    count: int,
    sources: dict[tuple[str, int], StandardisedSource],
) -> ClipVectors:
    """Draw clips and keep their vectors only.

    Args:
        kind: Kind of the clips.
        pictures: Pictures for their backgrounds.
        random: Random number generator.
        count: Number of clips.
        sources: Functions from clips to vectors, by source and budget.
    """
    vectors: dict[tuple[str, int], list[Tensor]] = {key: [] for key in sources}
    answers = []
    for start in range(0, count, _CHUNK):
        clips = draw_clips(kind, pictures, random, min(_CHUNK, count - start))
        answers.append(clips.answers)
        for key, describe in sources.items():
            vectors[key].append(describe(clips.video))
    return ClipVectors(
        KINDS[kind],
        {key: torch.cat(parts) for key, parts in vectors.items()},
        np.concatenate(answers),
    )
