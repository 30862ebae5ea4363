"""Questions about procedural clips, and clips of which they are true.

Four kinds of scene, each with a few questions; every answer is as frequent as the others, and no
answer tells another. Things are plain shapes in one of four colours, before textures or parts of
photographs. Whoever trains takes pictures for training, whoever tests those set apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from benchmarks.procedural.pictures import COLOURS, SHAPES, Pictures, shape
from benchmarks.procedural.scenes import Layer, draw

SIDE, FRAMES = 128, 13
DIRECTIONS = ("left", "right", "up", "down")
_COUNTS = ("one", "two", "three", "four")
_SLOWEST, _FASTEST = 1.5, 4.0  # samples a frame
_CORNERS = ((-0.5, -0.5), (0.5, -0.5), (-0.5, 0.5), (0.5, 0.5))

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Question:
    """One question, asked of every clip of a kind.

    Attributes:
        name: For tables.
        text: Ends where the answer, one word, begins.
        options: The words.
    """

    name: str
    text: str
    options: tuple[str, ...]


DIRECTION = Question("direction", "Which way?", DIRECTIONS)
COLOUR = Question("colour", "What colour?", tuple(COLOURS))
SHAPE = Question("shape", "What shape?", SHAPES)
SPEED = Question("speed", "Faster or slower?", ("faster", "slower"))
COUNT = Question("count", "How many?", _COUNTS)
ORDER = Question("order", "Which side first?", ("left", "right"))
WHEN = Question("when", "Which half?", ("first", "second"))
PAN = Question("pan", "What moves?", ("camera", "thing"))
KINDS: dict[str, tuple[Question, ...]] = {
    "moving": (DIRECTION, COLOUR, SHAPE, SPEED),
    "many": (COUNT, COLOUR, SHAPE),
    "appearing": (ORDER, WHEN),
    "panning": (PAN, COLOUR),
}


@dataclass(frozen=True, slots=True)
class Clips:
    """Clips of one kind.

    Attributes:
        video: uint8, shape (N, 13, 3, 128, 128).
        answers: Which option is true of each question of the kind, shape (N, questions).
    """

    video: Tensor
    answers: Ints


def make(kind: str, pictures: Pictures, random: np.random.Generator, count: int) -> Clips:
    """Draw clips.

    Args:
        kind: One of `KINDS`.
        pictures: For backgrounds.
        random: Decides everything.
        count: How many.
    """
    answers = np.stack(
        [random.integers(len(question.options), size=count) for question in KINDS[kind]], 1
    )
    layers = [_background(pictures, random, count)]
    layers += {"moving": _moving, "many": _many, "appearing": _appearing, "panning": _panning}[
        kind
    ](answers, random, layers)
    video = draw(layers, SIDE).video.clamp(0, 1).mul(255).round().byte()
    return Clips(video, answers)


def _moving(answers: Ints, random: np.random.Generator, _: list[Layer]) -> list[Layer]:
    direction, colour, form, speed = answers.T
    x, y = _way(direction, random, np.where(speed == 0, 1.0, -1.0))
    return [_thing(form, colour, x, y, random)]


def _many(answers: Ints, random: np.random.Generator, _: list[Layer]) -> list[Layer]:
    number, colour, form = answers.T
    places = np.stack([random.permutation(4) for _ in number])
    layers = []
    for one in range(4):
        corner = np.array(_CORNERS)[places[:, one]] + random.uniform(-0.12, 0.12, (len(number), 2))
        x, y = (np.repeat(along[:, None], FRAMES, 1) for along in corner.T)
        shown = np.repeat((number >= one)[:, None], FRAMES, 1)
        layers.append(_thing(form, colour, x, y, random, shown=shown, half=(0.24, 0.34)))
    return layers


def _appearing(answers: Ints, random: np.random.Generator, _: list[Layer]) -> list[Layer]:
    order, when = answers.T
    count = len(order)
    time = np.arange(FRAMES)
    early = np.where(when == 0, random.integers(1, 4, count), random.integers(7, 9, count))
    late = early + random.integers(3, 5, count)
    layers = []
    for side, sign in enumerate((-1, 1)):
        first = np.where(order == side, early, late)
        x = np.full((count, FRAMES), 0.5 * sign) + random.uniform(-0.15, 0.15, (count, 1))
        y = np.zeros((count, FRAMES)) + random.uniform(-0.5, 0.5, (count, 1))
        form, colour = random.integers(4, size=(2, count))
        layers.append(_thing(form, colour, x, y, random, shown=time >= first[:, None]))
    return layers


def _panning(answers: Ints, random: np.random.Generator, behind: list[Layer]) -> list[Layer]:
    which, colour = answers.T
    count = len(which)
    x, y = _way(random.integers(4, size=count), random, np.zeros(count))
    dx, dy = x - x.mean(1, keepdims=True), y - y.mean(1, keepdims=True)
    camera = (which == 0)[:, None]
    (ground,) = behind
    behind[0] = Layer(
        texture=ground.texture,
        x=ground.x + _single(dx * camera),
        y=ground.y + _single(dy * camera),
        scale=ground.scale,
        angle=ground.angle,
        shown=ground.shown,
    )
    # The camera takes all things along.
    return [_thing(random.integers(4, size=count), colour, x, y, random)]


def _way(
    direction: Ints, random: np.random.Generator, gain: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Positions along an axis, steady or from slow to fast and the other way round."""
    count = len(direction)
    length = random.uniform(_SLOWEST, _FASTEST, (count, 1)) * (FRAMES - 1) * 2 / SIDE
    time = np.linspace(0, 1, FRAMES)
    faster, slower = time**2, 1 - (1 - time) ** 2
    share = np.where(gain[:, None] > 0, faster, np.where(gain[:, None] < 0, slower, time)) - 0.5
    unit = np.array([(-1, 0), (1, 0), (0, -1), (0, 1)])[direction]
    middle = random.uniform(-0.3, 0.3, (2, count, 1))
    return (
        middle[0] + unit[:, :1] * length * share,
        middle[1] + unit[:, 1:] * length * share,
    )


def _thing(
    form: Ints,
    colour: Ints,
    x: npt.NDArray[np.float64],
    y: npt.NDArray[np.float64],
    random: np.random.Generator,
    *,
    shown: npt.NDArray[np.bool_] | None = None,
    half: tuple[float, float] = (0.22, 0.42),
) -> Layer:
    count = len(form)
    tints = list(COLOURS.values())
    texture = torch.stack([shape(SHAPES[f], tints[c]) for f, c in zip(form, colour, strict=True)])
    visible = np.ones((count, FRAMES)) if shown is None else shown
    return Layer(
        texture=texture,
        x=_single(x),
        y=_single(y),
        scale=_single(np.repeat(random.uniform(*half, (count, 1)), FRAMES, 1)),
        angle=torch.zeros(count, FRAMES),
        shown=_single(visible),
    )


def _background(pictures: Pictures, random: np.random.Generator, count: int) -> Layer:
    parts = torch.stack([pictures.background(random) for _ in range(count)])
    # Paler than what is before it.
    parts = 0.25 + 0.5 * parts
    opaque = torch.cat([parts, torch.ones(count, 1, *parts.shape[2:])], 1)
    still = torch.zeros(count, FRAMES)
    return Layer(
        texture=opaque,
        x=still,
        y=still,
        scale=still + 1.5,
        angle=still,
        shown=still + 1,
    )


def _single(values: npt.NDArray[np.generic]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, np.float32))
