"""Words around vectors of a clip: questions, and scenes told in words as examples of answers.

A small language model hardly answers what it is asked out of the blue, whoever describes the scene.
After a few examples it does. They are the same for all clips, come first, and tell of scenes in
words only, so that nothing in them can be learned about vectors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.tokens.questions import KINDS, Question

_TOLD = {
    "moving": "One moves {direction} and gets {speed}, {colour}, a {shape}.",
    "many": "There are {count}, all {colour}, each a {shape}.",
    "appearing": "One appears {order} in the {when} half, then another.",
    "panning": "The {pan} moves, with a {colour} thing.",
}
_EXAMPLES = (
    ("moving", ("up", "blue", "star", "slower")),
    ("many", ("two", "red", "circle")),
    ("appearing", ("right", "first")),
    ("panning", ("camera", "green")),
    ("panning", ("thing", "yellow")),
    ("moving", ("left", "yellow", "square", "faster")),
    ("appearing", ("left", "second")),
    ("many", ("four", "green", "triangle")),
)


def told(kind: str, answers: Mapping[str, str]) -> str:
    """A scene in a sentence.

    Args:
        kind: One of `KINDS`.
        answers: By names of questions.
    """
    return _TOLD[kind].format(**answers)


def asked(question: Question) -> str:
    """What follows a scene, up to where the answer begins."""
    return f"\n{question.text}"


def examples() -> str:
    """Scenes in words with answers, one question at a time."""
    return "".join(
        told(kind, answers)
        + "".join(f"{asked(question)} {answers[question.name]}" for question in KINDS[kind])
        + "\n\n"
        for kind, words in _EXAMPLES
        for answers in [answered(kind, words)]
    )


def answered(kind: str, words: Sequence[str]) -> dict[str, str]:
    """The answers on a scene, by names of the kind's questions, from their words in order."""
    return {question.name: word for question, word in zip(KINDS[kind], words, strict=True)}
