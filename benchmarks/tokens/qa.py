"""Questions about procedural clips, answered by a frozen language model that reads tokens.

SmolLM2-135M-Instruct is not changed; a small projector is trained on clips made of some pictures,
and what it learned is measured on clips made of others. The model is first given a few scenes in
words, with answers. Beside tokens of the shared tokenizer the same number of vectors is made of raw
pixels, of their principal components, of the middle frame alone, and, if asked for, of latents of a
network of each clip's own, which takes seconds a clip to fit. Controls: vectors of another clip,
none at all, and with the steps in reverse order, which turns the answers on directions round if
these hang on it; and, for the model's own ceiling, the scene described in words. With
`--reader probe` a small network answers instead, which says what there is to find out at all.

One projector serves all questions. With `--words` it is trained on the model's words alone before it
is trained through the model, which takes long.
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
from torch import Tensor

from benchmarks.harness import record
from benchmarks.tokens.clip_vectors import Shown, shown_clips
from benchmarks.tokens.language_model_readers import LanguageModel, Probe, Projected, weights
from benchmarks.tokens.prompts import answered, told
from benchmarks.tokens.questions import DIRECTION, KINDS
from benchmarks.tokens.vector_sources import BUDGETS, QUICK, SOURCES, places
from benchmarks.tokens.word_alignment import near_words

_RATE, _RATE_AFTER_WORDS = 3e-3, 1e-3
_AT_ONCE = 25  # clips to measure on
_CURVE = 20  # steps
_DESCRIBED = 25  # scenes of each kind
_QUESTIONS = tuple(dict.fromkeys(question.name for asked in KINDS.values() for question in asked))
_OPPOSITE = np.array([1, 0, 3, 2])


def main(argv: Sequence[str] | None = None) -> None:
    parser = record.parser("token_qa", __doc__)
    parser.add_argument("--reader", choices=("model", "probe"), default="model")
    parser.add_argument("--sources", nargs="+", choices=SOURCES, default=list(QUICK))
    parser.add_argument("--budgets", nargs="+", type=int, choices=BUDGETS, default=list(BUDGETS))
    parser.add_argument("--questions", nargs="+", choices=_QUESTIONS, default=list(_QUESTIONS))
    parser.add_argument("--words", type=int, default=0, help="steps of `token_words`, before")
    parser.add_argument("--tokenizer", default="bundled:small")
    parser.add_argument("--clips", type=int, default=750, help="of each kind, to train on")
    parser.add_argument("--tests", type=int, default=150, help="of each kind, to measure on")
    parser.add_argument("--steps", type=int, default=400, help="of training")
    parser.add_argument("--minutes", type=float, default=math.inf, help="of training, at most")
    parser.add_argument("--batch", type=int, default=16, help="clips a step")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cache", type=Path, help="a file to keep clips in, as vectors")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    clips = shown_clips(options)
    model = LanguageModel(weights()) if options.reader == "model" else None
    described = None if model is None else _described(model, options)
    train, test = (_about(part, options.questions) for part in clips)
    rows: list[dict[str, Any]] = []
    for budget in options.budgets:
        for name in options.sources:
            rows.append(_run(name, budget, train, test, model, options))
            # Each row takes long, and is worth something without the next.
            _write(rows, described, options)


def _about(part: dict[str, Shown], questions: Sequence[str]) -> dict[str, Shown]:
    """The kinds of clips that some questions are asked about, with these only."""
    found = {kind: shown.asked(questions) for kind, shown in part.items()}
    return {kind: shown for kind, shown in found.items() if shown.questions}


def _run(
    name: str,
    budget: int,
    train: dict[str, Shown],
    test: dict[str, Shown],
    model: LanguageModel | None,
    options: Any,
) -> dict[str, Any]:
    """Train a projector, and measure."""
    torch.manual_seed(options.seed)
    random = np.random.default_rng(options.seed)
    key = (name, budget)
    reader = model or _probe()
    channels = next(iter(train.values())).vectors[key].shape[2]
    projector = Projected(channels, reader.width, reader.rms)
    where = places(name, budget)
    rate = _RATE
    if options.words and isinstance(reader, LanguageModel):
        near_words(projector, reader, train, key, where, steps=options.words, random=random)
        rate = _RATE_AFTER_WORDS
    learned = [*projector.parameters(), *(p for p in reader.parameters() if p.requires_grad)]
    optimiser = torch.optim.AdamW(learned, rate, betas=(0.9, 0.98), weight_decay=0.01)
    kinds, began, curve, losses = list(train.values()), time.monotonic(), [], []
    trained = 0
    for step in range(options.steps):
        share = max(step / options.steps, (time.monotonic() - began) / (60 * options.minutes))
        if share >= 1:
            break
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1, (step + 1) / 10) * (0.5 + 0.5 * math.cos(math.pi * share))
        shown = kinds[step % len(kinds)]
        chosen = random.integers(len(shown.answers), size=options.batch)
        found = reader(projector(shown.vectors[key][chosen], where), shown.questions)
        answers = torch.from_numpy(shown.answers[chosen])
        loss = torch.stack(
            [F.cross_entropy(one, answers[:, place]) for place, one in enumerate(found)]
        ).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(learned, 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        losses.append(loss.item())
        trained += options.batch
        if (step + 1) % _CURVE == 0:
            curve.append({"clips": trained, "loss": float(np.mean(losses))})
            losses.clear()
            print(name, budget, curve[-1], round(time.monotonic() - began), flush=True)

    def measured(change: Any = lambda vectors: vectors) -> dict[str, Any]:
        return _accuracy(test, key, reader, projector, where, change)

    row: dict[str, Any] = {
        "source": name,
        "budget": budget,
        "channels": channels,
        "clips": trained,
        "seconds": time.monotonic() - began,
        "curve": curve,
        "accuracy": measured(),
    }
    if name == "tokens":
        row["controls"] = {
            "another clip": measured(lambda vectors: vectors.roll(1, 0)),
            "nothing": measured(torch.zeros_like),
        }
        if DIRECTION.name in row["accuracy"]:
            row["reversed"] = _reversed(test, key, reader, projector, where)
    print(name, budget, {k: round(v["share"], 3) for k, v in row["accuracy"].items()}, flush=True)
    return row


def _probe() -> Probe:
    questions = {question.name: question for asked in KINDS.values() for question in asked}
    return Probe(list(questions), [len(one.options) for one in questions.values()])


@torch.no_grad()
def _accuracy(
    test: dict[str, Shown],
    key: tuple[str, int],
    reader: Any,
    projector: Projected,
    where: Tensor,
    change: Any,
) -> dict[str, Any]:
    """Right answers by question, with a 95 % interval (normal approximation)."""
    right: dict[str, list[bool]] = {}
    chance: dict[str, float] = {}
    for shown in test.values():
        vectors = change(shown.vectors[key])
        for start in range(0, len(vectors), _AT_ONCE):
            found = reader(projector(vectors[start : start + _AT_ONCE], where), shown.questions)
            for question, one, wanted in zip(shown.questions, found, shown.answers.T, strict=True):
                answered = one.argmax(1).numpy() == wanted[start : start + _AT_ONCE]
                right.setdefault(question.name, []).extend(answered.tolist())
                chance[question.name] = 1 / len(question.options)
    return {
        name: {
            "share": float(np.mean(one)),
            "interval": 1.96 * float(np.std(one)) / math.sqrt(len(one)),
            "questions": len(one),
            "chance": chance[name],
        }
        for name, one in right.items()
    }


@torch.no_grad()
def _reversed(
    test: dict[str, Shown], key: tuple[str, int], reader: Any, projector: Projected, where: Tensor
) -> dict[str, float]:
    """How often the answer on a direction turns round when time does.

    Tokens say themselves how things move, so their order alone need not decide.
    """
    shown = test["moving"]
    vectors = shown.vectors[key]
    steps = vectors.view(len(vectors), 4, -1, vectors.shape[2])
    turned = steps.flip(1).flatten(1, 2)
    answers = [
        np.concatenate(
            [
                reader(projector(some, where), [DIRECTION])[0].argmax(1)
                for some in seen.split(_AT_ONCE)
            ]
        )
        for seen in (vectors, turned)
    ]
    return {
        "turned": float((answers[1] == _OPPOSITE[answers[0]]).mean()),
        "same": float((answers[1] == answers[0]).mean()),
    }


@torch.no_grad()
def _described(model: LanguageModel, options: Any) -> dict[str, float]:
    """Right answers if the scene is told in words: the model's own ceiling, untrained."""
    random = np.random.default_rng(options.seed)
    right: dict[str, list[bool]] = {name: [] for name in _QUESTIONS}
    for _ in range(_DESCRIBED):
        for kind, asked in KINDS.items():
            answers = [int(random.integers(len(question.options))) for question in asked]
            words = [one.options[answer] for one, answer in zip(asked, answers, strict=True)]
            scene = told(kind, answered(kind, words))
            seen = F.embedding(model.ids(scene), model.embedding)[None]
            for question, found, answer in zip(asked, model(seen, asked), answers, strict=True):
                right[question.name].append(int(found.argmax()) == answer)
    return {name: float(np.mean(one)) for name, one in right.items()}


def _write(rows: list[dict[str, Any]], described: dict[str, float] | None, options: Any) -> None:
    names = [name for name in _QUESTIONS if name in options.questions]
    shown: dict[tuple[str, str], dict[str, Any]] = {}
    chances: dict[str, float] = {}
    for row in rows:
        budget = str(row["budget"])
        shown.setdefault((row["source"], budget), {}).update(row["accuracy"])
        for control, found in row.get("controls", {}).items():
            shown.setdefault((f"of {control}", budget), {}).update(found)
        chances |= {name: one["chance"] for name, one in row["accuracy"].items()}
    lines = [(*key, *(_percent(found.get(name)) for name in names)) for key, found in shown.items()]
    if described:
        shares = [f"{100 * described[name]:.0f}" for name in names]
        lines.append(("described in words", "-", *shares))
    known = (f"{100 * chances[name]:.0f}" if name in chances else "" for name in names)
    lines.append(("chance", "-", *known))
    words = f", after {options.words} steps on words alone" if options.words else ""
    note = (
        f"Right answers, %, and 95 % intervals. Trained on {rows[0]['clips']} clips{words}, drawn from "
        f"{options.clips} of each kind, tested on {options.tests} of each with other pictures."
    )
    table = record.ResultTable(("shown", "vectors", *names), tuple(lines), note)
    record.write(options.out, {"rows": rows, "described": described}, {"main": table})


def _percent(found: dict[str, Any] | None) -> str:
    return f"{100 * found['share']:.0f} ±{100 * found['interval']:.0f}" if found else ""


if __name__ == "__main__":
    main()
