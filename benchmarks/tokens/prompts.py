"""The text around the vectors of a clip: questions, and examples of scenes with answers.

A small language model rarely answers a question without examples, even about a scene in words. With
a few examples it does. They are the same for all clips, come first, and describe scenes in words
only, so that nothing can be learned from them about the vectors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.tokens.questions import KINDS, Question

_SENTENCES = {
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


def describe_scene(kind: str, answers: Mapping[str, str]) -> str:
    """Return a sentence that describes a scene.

    Args:
        kind: One of `KINDS`.
        answers: Answers by names of questions.
    """
    return _SENTENCES[kind].format(**answers)


def question_prompt(question: Question) -> str:
    """Return the text after a scene, up to the answer."""
    return f"\n{question.text}"


def examples() -> str:
    """Return the examples: scenes in words, each with its questions and answers."""
    return "".join(
        describe_scene(kind, answers)
        + "".join(
            f"{question_prompt(question)} {answers[question.name]}" for question in KINDS[kind]
        )
        + "\n\n"
        for kind, words in _EXAMPLES
        for answers in [answers_by_name(kind, words)]
    )


def answers_by_name(kind: str, words: Sequence[str]) -> dict[str, str]:
    """Return the answers about a scene by names of questions.

    Args:
        kind: One of `KINDS`.
        words: Answers in the order of the kind's questions.
    """
    return {question.name: word for question, word in zip(KINDS[kind], words, strict=True)}
