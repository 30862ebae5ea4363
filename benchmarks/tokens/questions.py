"""Questions about procedural clips, and clips with known answers.

There are four kinds of scene, each with a few questions. All answers to a question are equally
frequent, and the answers to different questions are independent. The objects are plain shapes in
one of four colours, in front of textures or parts of photographs. Training and tests take different
pictures.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from benchmarks.procedural.pictures import COLOURS, SHAPES, Pictures, shape
from benchmarks.procedural.scenes import TextureLayer, draw_layers

SIDE, FRAMES = 128, 13
DIRECTIONS = ("left", "right", "up", "down")
_COUNTS = ("one", "two", "three", "four")
_SLOWEST, _FASTEST = 1.5, 4.0  # Samples per frame.
_CORNERS = ((-0.5, -0.5), (0.5, -0.5), (-0.5, 0.5), (0.5, 0.5))

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Question:
    """A question about every clip of a kind.

    Attributes:
        name: Name in tables.
        text: Text of the question; the answer, one word, follows it.
        options: The possible answers.
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
class QuestionClips:
    """Clips of one kind.

    Attributes:
        video: uint8, shape (N, 13, 3, 128, 128).
        answers: Index of the true option of each question of the kind, shape (N, questions).
    """

    video: Tensor
    answers: Ints


def draw_clips(
    kind: str, pictures: Pictures, random: np.random.Generator, count: int
) -> QuestionClips:
    """Draw clips of a kind.

    Args:
        kind: One of `KINDS`.
        pictures: Pictures for the backgrounds.
        random: Random number generator.
        count: Number of clips.
    """
    answers = np.stack(
        [random.integers(len(question.options), size=count) for question in KINDS[kind]], 1
    )
    layers = [_background(pictures, random, count)]
    layers += {"moving": _moving, "many": _many, "appearing": _appearing, "panning": _panning}[
        kind
    ](answers, random, layers)
    video = draw_layers(layers, SIDE).video.clamp(0, 1).mul(255).round().byte()
    return QuestionClips(video, answers)


def _moving(
    answers: Ints, random: np.random.Generator, _: list[TextureLayer]
) -> list[TextureLayer]:
    direction, colour, shape_index, speed = answers.T
    x, y = _path(direction, random, np.where(speed == 0, 1.0, -1.0))
    return [_sprite(shape_index, colour, x, y, random)]


def _many(answers: Ints, random: np.random.Generator, _: list[TextureLayer]) -> list[TextureLayer]:
    number, colour, shape_index = answers.T
    places = np.stack([random.permutation(4) for _ in number])
    layers = []
    for number_of_sprite in range(4):
        corner = np.array(_CORNERS)[places[:, number_of_sprite]] + random.uniform(
            -0.12, 0.12, (len(number), 2)
        )
        x, y = (np.repeat(coordinate[:, None], FRAMES, 1) for coordinate in corner.T)
        shown = np.repeat((number >= number_of_sprite)[:, None], FRAMES, 1)
        layers.append(
            _sprite(shape_index, colour, x, y, random, shown=shown, half_side=(0.24, 0.34))
        )
    return layers


def _appearing(
    answers: Ints, random: np.random.Generator, _: list[TextureLayer]
) -> list[TextureLayer]:
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
        shape_index, colour = random.integers(4, size=(2, count))
        layers.append(_sprite(shape_index, colour, x, y, random, shown=time >= first[:, None]))
    return layers


def _panning(
    answers: Ints, random: np.random.Generator, layers_behind: list[TextureLayer]
) -> list[TextureLayer]:
    moves, colour = answers.T
    count = len(moves)
    x, y = _path(random.integers(4, size=count), random, np.zeros(count))
    dx, dy = x - x.mean(1, keepdims=True), y - y.mean(1, keepdims=True)
    camera = (moves == 0)[:, None]
    (background,) = layers_behind
    layers_behind[0] = TextureLayer(
        texture=background.texture,
        x=background.x + _float32(dx * camera),
        y=background.y + _float32(dy * camera),
        scale=background.scale,
        angle=background.angle,
        shown=background.shown,
    )
    # A moving camera shifts the background as much as the object.
    return [_sprite(random.integers(4, size=count), colour, x, y, random)]


def _path(
    direction: Ints, random: np.random.Generator, gain: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return positions of objects that move along an axis.

    Args:
        direction: Index into `DIRECTIONS` of each object.
        random: Random number generator.
        gain: Positive for an object that becomes faster, negative for slower, 0 for steady motion.

    Returns:
        x and y, shape (N, T) each.
    """
    count = len(direction)
    length = random.uniform(_SLOWEST, _FASTEST, (count, 1)) * (FRAMES - 1) * 2 / SIDE
    time = np.linspace(0, 1, FRAMES)
    faster, slower = time**2, 1 - (1 - time) ** 2
    share = np.where(gain[:, None] > 0, faster, np.where(gain[:, None] < 0, slower, time)) - 0.5
    direction_vector = np.array([(-1, 0), (1, 0), (0, -1), (0, 1)])[direction]
    middle = random.uniform(-0.3, 0.3, (2, count, 1))
    return (
        middle[0] + direction_vector[:, :1] * length * share,
        middle[1] + direction_vector[:, 1:] * length * share,
    )


def _sprite(
    shape_index: Ints,
    colour: Ints,
    x: npt.NDArray[np.float64],
    y: npt.NDArray[np.float64],
    random: np.random.Generator,
    *,
    shown: npt.NDArray[np.bool_] | None = None,
    half_side: tuple[float, float] = (0.22, 0.42),
) -> TextureLayer:
    count = len(shape_index)
    tints = list(COLOURS.values())
    texture = torch.stack(
        [shape(SHAPES[f], tints[c]) for f, c in zip(shape_index, colour, strict=True)]
    )
    visible = np.ones((count, FRAMES)) if shown is None else shown
    return TextureLayer(
        texture=texture,
        x=_float32(x),
        y=_float32(y),
        scale=_float32(np.repeat(random.uniform(*half_side, (count, 1)), FRAMES, 1)),
        angle=torch.zeros(count, FRAMES),
        shown=_float32(visible),
    )


def _background(pictures: Pictures, random: np.random.Generator, count: int) -> TextureLayer:
    parts = torch.stack([pictures.background(random) for _ in range(count)])
    # The background is paler than the objects.
    parts = 0.25 + 0.5 * parts
    opaque = torch.cat([parts, torch.ones(count, 1, *parts.shape[2:])], 1)
    still = torch.zeros(count, FRAMES)
    return TextureLayer(
        texture=opaque,
        x=still,
        y=still,
        scale=still + 1.5,
        angle=still,
        shown=still + 1,
    )


def _float32(values: npt.NDArray[np.generic]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, np.float32))
