"""Questions about procedural clips, answered by a frozen language model that reads tokens.

SmolLM2-135M-Instruct is not changed; a small projector is trained on clips of some pictures and
tested on clips of others. The model first reads a few scenes in words, with answers. Tokens of the
shared tokenizer are compared with as many vectors of raw pixels, of their principal components, of
the middle frame alone, and optionally of latents of a network fitted to each clip, which takes
seconds per clip. Controls are the vectors of another clip, zeros, and the steps in reverse order,
which reverses the answers about directions if they depend on that order; and, as a bound of the
model, the scene in words. With `--reader probe` a small network answers instead, as a bound of what
the vectors tell.

One projector serves all questions. With `--words` it is first trained on the model's embedding
alone, since training through the model is slow.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.harness import record
from benchmarks.tokens.clip_vectors import ClipVectors, load_clips
from benchmarks.tokens.language_model_readers import (
    AttentionProbe,
    ClipProjector,
    LanguageModel,
    find_weights,
)
from benchmarks.tokens.questions import DIRECTION, KINDS
from benchmarks.tokens.reader_accuracy import (
    QUESTIONS,
    accuracy_on_words,
    question_accuracy,
    reversal,
)
from benchmarks.tokens.vector_sources import BUDGETS, QUICK, SOURCES, places
from benchmarks.tokens.word_alignment import align_with_words

_RATE, _RATE_AFTER_WORDS = 3e-3, 1e-3
_CURVE_INTERVAL = 20  # Optimiser steps between points of the learning curve.


def main(argv: Sequence[str] | None = None) -> None:
    parser = record.parser("token_qa", __doc__)
    parser.add_argument(
        "--reader",
        choices=("model", "probe"),
        default="model",
        help="the language model, or a small network",
    )
    parser.add_argument(
        "--sources", nargs="+", choices=SOURCES, default=list(QUICK), help="sources of the vectors"
    )
    parser.add_argument(
        "--budgets",
        nargs="+",
        type=int,
        choices=BUDGETS,
        default=list(BUDGETS),
        help="numbers of vectors of a clip",
    )
    parser.add_argument(
        "--questions",
        nargs="+",
        choices=QUESTIONS,
        default=list(QUESTIONS),
        help="names of the questions",
    )
    parser.add_argument(
        "--words", type=int, default=0, help="steps of training on the embedding alone, at first"
    )
    parser.add_argument("--tokenizer", default="bundled:small", help="the shared tokenizer")
    parser.add_argument("--clips", type=int, default=750, help="clips of each kind for training")
    parser.add_argument("--tests", type=int, default=150, help="clips of each kind for tests")
    parser.add_argument("--steps", type=int, default=400, help="optimiser steps, at most")
    parser.add_argument(
        "--minutes", type=float, default=math.inf, help="minutes of training of each row, at most"
    )
    parser.add_argument("--batch", type=int, default=16, help="clips per optimiser step")
    parser.add_argument("--seed", type=int, default=0, help="seed of clips and training")
    parser.add_argument("--cache", type=Path, help="file that keeps the clips as vectors")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    clips = load_clips(options)
    model = LanguageModel(find_weights()) if options.reader == "model" else None
    described = None if model is None else accuracy_on_words(model, options.seed)
    train, test = (_with_questions(part, options.questions) for part in clips)
    rows: list[dict[str, Any]] = []
    for budget in options.budgets:
        for name in options.sources:
            rows.append(_run(name, budget, train, test, model, options))
            # Each row takes long; it must survive an interruption of the next one.
            _write(rows, described, options)


def _with_questions(
    part: dict[str, ClipVectors], questions: Sequence[str]
) -> dict[str, ClipVectors]:
    """Return the kinds of clips that have some of the questions, with these only.

    Args:
        part: Clips by kind.
        questions: Names of the questions.
    """
    clips = {kind: vectors.asked(questions) for kind, vectors in part.items()}
    return {kind: vectors for kind, vectors in clips.items() if vectors.questions}


def _run(
    name: str,
    budget: int,
    train: dict[str, ClipVectors],
    test: dict[str, ClipVectors],
    model: LanguageModel | None,
    options: Any,
) -> dict[str, Any]:
    """Train a projector and measure its accuracy.

    Args:
        name: Source of the vectors.
        budget: Number of vectors of a clip.
        train: Clips for training, by kind.
        test: Clips for tests, by kind.
        model: The language model; None to train a small network instead.
        options: Options of the command line.

    Returns:
        The row of the results.
    """
    torch.manual_seed(options.seed)
    random = np.random.default_rng(options.seed)
    key = (name, budget)
    reader = model or _probe()
    channels = next(iter(train.values())).vectors[key].shape[2]
    projector = ClipProjector(channels, reader.width, reader.rms)
    positions = places(name, budget)
    rate = _RATE
    if options.words and isinstance(reader, LanguageModel):
        align_with_words(
            projector, reader, train, key, positions, steps=options.words, random=random
        )
        rate = _RATE_AFTER_WORDS
    parameters = [*projector.parameters(), *(p for p in reader.parameters() if p.requires_grad)]
    optimiser = torch.optim.AdamW(parameters, rate, betas=(0.9, 0.98), weight_decay=0.01)
    kinds, began, curve, losses = list(train.values()), time.monotonic(), [], []
    trained = 0
    for step in range(options.steps):
        share = max(step / options.steps, (time.monotonic() - began) / (60 * options.minutes))
        if share >= 1:
            break
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1, (step + 1) / 10) * (0.5 + 0.5 * math.cos(math.pi * share))
        clips = kinds[step % len(kinds)]
        chosen = random.integers(len(clips.answers), size=options.batch)
        logits = reader(projector(clips.vectors[key][chosen], positions), clips.questions)
        answers = torch.from_numpy(clips.answers[chosen])
        loss = torch.stack(
            [F.cross_entropy(each, answers[:, column]) for column, each in enumerate(logits)]
        ).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        losses.append(loss.item())
        trained += options.batch
        if (step + 1) % _CURVE_INTERVAL == 0:
            curve.append({"clips": trained, "loss": float(np.mean(losses))})
            losses.clear()
            print(name, budget, curve[-1], round(time.monotonic() - began), flush=True)

    def accuracy_with(change: Any = lambda vectors: vectors) -> dict[str, Any]:
        return question_accuracy(test, key, reader, projector, positions, change)

    row: dict[str, Any] = {
        "source": name,
        "budget": budget,
        "channels": channels,
        "clips": trained,
        "seconds": time.monotonic() - began,
        "curve": curve,
        "accuracy": accuracy_with(),
    }
    if name == "tokens":
        row["controls"] = {
            "another clip": accuracy_with(lambda vectors: vectors.roll(1, 0)),
            "nothing": accuracy_with(torch.zeros_like),
        }
        if DIRECTION.name in row["accuracy"]:
            row["reversed"] = reversal(test, key, reader, projector, positions)
    print(name, budget, {k: round(v["share"], 3) for k, v in row["accuracy"].items()}, flush=True)
    return row


def _probe() -> AttentionProbe:
    """Return an untrained small network with a head for every question."""
    questions = {question.name: question for kind in KINDS.values() for question in kind}
    counts = [len(question.options) for question in questions.values()]
    return AttentionProbe(list(questions), counts)


def _write(rows: list[dict[str, Any]], described: dict[str, float] | None, options: Any) -> None:
    """Write the rows so far, with their table."""
    names = [name for name in QUESTIONS if name in options.questions]
    accuracies: dict[tuple[str, str], dict[str, Any]] = {}
    chances: dict[str, float] = {}
    for row in rows:
        budget = str(row["budget"])
        accuracies.setdefault((row["source"], budget), {}).update(row["accuracy"])
        for control, accuracy in row.get("controls", {}).items():
            accuracies.setdefault((f"of {control}", budget), {}).update(accuracy)
        chances |= {name: accuracy["chance"] for name, accuracy in row["accuracy"].items()}
    lines = [
        (*key, *(_percent(accuracy.get(name)) for name in names))
        for key, accuracy in accuracies.items()
    ]
    if described:
        shares = [f"{100 * described[name]:.0f}" for name in names]
        lines.append(("described in words", "-", *shares))
    chance_cells = (f"{100 * chances[name]:.0f}" if name in chances else "" for name in names)
    lines.append(("chance", "-", *chance_cells))
    words = f", after {options.words} steps on words alone" if options.words else ""
    note = (
        f"Right answers, %, and 95 % intervals. Trained on {rows[0]['clips']} clips{words}, drawn from "
        f"{options.clips} of each kind, tested on {options.tests} of each with other pictures."
    )
    table = record.ResultTable(("shown", "vectors", *names), tuple(lines), note)
    record.write(options.out, {"rows": rows, "described": described}, {"main": table})


def _percent(accuracy: dict[str, Any] | None) -> str:
    return f"{100 * accuracy['share']:.0f} ±{100 * accuracy['interval']:.0f}" if accuracy else ""


if __name__ == "__main__":
    main()
