"""Pictures that procedural videos are made of: photographs, textures, emoji and plain shapes.

The photographs are those that scikit-image ships and lists as public domain or CC0 (Debian has them
in `python3-skimage`); folders may add more. Emoji are drawn from a font, Noto Color Emoji under the
Open Font License; without a font there are plain shapes only. Pictures for tests are chosen by name
and never seen in training.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

PHOTOGRAPHS = (
    *("astronaut.png", "brick.png", "camera.png", "chelsea.png", "coffee.png", "coins.png"),
    *("grass.png", "gravel.png", "hubble_deep_field.jpg", "moon.png", "motorcycle_left.png"),
    *("retina.jpg", "rocket.jpg"),
)
"""Files of `skimage.data`, each public domain or CC0 by that folder's README."""
TEST_PHOTOGRAPHS = ("coffee.png", "grass.png", "rocket.jpg", "moon.png")
"""Photographs for tests only."""
FONT = Path("/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")
SHAPES = ("circle", "square", "triangle", "star")
COLOURS = {
    "red": (220, 40, 40),
    "green": (40, 170, 60),
    "blue": (50, 80, 220),
    "yellow": (240, 210, 40),
}
_SIDE, _SPRITE = 192, 64
_FONT_SIZE = 109  # The only size that the font has bitmaps for.
_BLOCKS = ((0x1F32D, 0x1F37F), (0x1F380, 0x1F3D3), (0x1F400, 0x1F4FC), (0x1F680, 0x1F6C5))


@dataclass(frozen=True, slots=True)
class Pictures:
    """Pictures to draw from.

    Attributes:
        photographs: uint8, shape (3, H, W) each.
        emoji: Premultiplied red, green, blue and alpha, float32 in [0, 1], shape (n, 4, 64, 64).
    """

    photographs: tuple[Tensor, ...]
    emoji: Tensor

    def background(self, random: np.random.Generator, *, photograph: bool | None = None) -> Tensor:
        """Draw a background: a square crop of a photograph, or a texture.

        Args:
            random: Random number generator.
            photograph: Whether it is a photograph; None for a random choice, mostly photographs.

        Returns:
            Float32 in [0, 1], shape (3, 192, 192).
        """
        if photograph is None:
            photograph = bool(random.random() < 0.75)
        picture = self._random_crop(random) if photograph else _texture(random)
        # There are few photographs for many scenes, so their colours are varied.
        picture = picture[random.permutation(3)]
        gain = torch.from_numpy(random.uniform(0.7, 1.2, (3, 1, 1)).astype(np.float32))
        shift = torch.from_numpy(random.uniform(-0.1, 0.1, (3, 1, 1)).astype(np.float32))
        if random.random() < 0.5:
            picture = picture.flip(2)
        if random.random() < 0.2:
            picture = picture.flip(1)
        return (picture * gain + shift).clamp(0, 1)

    def sprite(self, random: np.random.Generator) -> Tensor:
        """Draw an emoji, or a shape of a random colour, shape (4, 64, 64)."""
        if len(self.emoji) and random.random() < 0.6:
            return self.emoji[random.integers(len(self.emoji))]
        colour = tuple(int(value) for value in random.integers(0, 256, 3))
        return shape(SHAPES[random.integers(len(SHAPES))], colour)

    def _random_crop(self, random: np.random.Generator) -> Tensor:
        picture = self.photographs[random.integers(len(self.photographs))]
        _, height, width = picture.shape
        side = int(np.exp(random.uniform(np.log(96), np.log(min(height, width)))))
        top, left = random.integers(height - side + 1), random.integers(width - side + 1)
        crop = picture[:, top : top + side, left : left + side].float() / 255
        return F.interpolate(crop[None], (_SIDE, _SIDE), mode="bilinear", antialias=True)[0]


def load_pictures(
    *, for_tests: bool = False, font: Path | None = None, folders: Sequence[Path] = ()
) -> Pictures:
    """Load the pictures for training or for tests.

    Args:
        for_tests: Whether to load the pictures for tests instead of those for training.
        font: Font of emoji; None for Noto Color Emoji if that is installed.
        folders: Folders with more photographs.

    Raises:
        SystemExit: If a folder holds no picture, or a font cannot be used.
    """
    import skimage.data

    shipped = Path(skimage.data.__file__).parent
    paths = [shipped / name for name in PHOTOGRAPHS if (name in TEST_PHOTOGRAPHS) == for_tests]
    for folder in folders:
        paths_in_folder = sorted(
            path for path in folder.rglob("*") if path.suffix in (".jpg", ".png")
        )
        if not paths_in_folder:
            raise SystemExit(f"{folder} holds no .jpg or .png")
        paths += [path for path in paths_in_folder if _is_for_tests(path.name) == for_tests]
    photographs = tuple(_photograph(path) for path in paths)
    if font is None and FONT.is_file():
        font = FONT
    emoji = _emoji(font) if font else {}
    sprites = [drawn for name, drawn in emoji.items() if _is_for_tests(name) == for_tests]
    return Pictures(photographs, torch.stack(sprites) if sprites else torch.empty(0, 4, 1, 1))


@cache
def shape(name: str, colour: tuple[int, ...]) -> Tensor:
    """Draw a filled shape.

    Args:
        name: One of `SHAPES`.
        colour: Red, green and blue, 0 to 255.

    Returns:
        Premultiplied red, green, blue and alpha in [0, 1], shape (4, 64, 64).
    """
    large = 4 * _SPRITE
    picture = Image.new("L", (large, large))
    draw = ImageDraw.Draw(picture)
    low, high, middle = 0.1 * large, 0.9 * large, large / 2
    if name == "circle":
        draw.ellipse((low, low, high, high), fill=255)
    elif name == "square":
        draw.rectangle((low, low, high, high), fill=255)
    elif name == "triangle":
        draw.polygon(((middle, low), (high, high), (low, high)), fill=255)
    else:
        angles = [np.pi * (corner / 5 - 0.5) for corner in range(10)]
        radii = [0.45 * large, 0.2 * large] * 5
        draw.polygon(
            [
                (middle + radius * np.cos(angle), middle + radius * np.sin(angle))
                for angle, radius in zip(angles, radii, strict=True)
            ],
            fill=255,
        )
    alpha = np.asarray(picture.resize((_SPRITE, _SPRITE), Image.Resampling.BOX), np.float32) / 255
    filled = np.array(colour, np.float32)[:, None, None] / 255 * alpha
    return torch.from_numpy(np.concatenate([filled, alpha[None]]))


def _is_for_tests(name: str) -> bool:
    """Return whether a picture is for tests: a fifth of all, chosen by a hash of the name."""
    return zlib.crc32(name.encode()) % 5 == 0


def _photograph(path: Path) -> Tensor:
    picture = Image.open(path).convert("RGB")
    picture.thumbnail((768, 768))
    return torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1)


def _emoji(font: Path) -> dict[str, Tensor]:
    try:
        loaded = ImageFont.truetype(str(font), _FONT_SIZE)
    except OSError as error:
        raise SystemExit(f"{font}: cannot be used for emoji: {error}") from error
    drawn: dict[str, Tensor] = {}
    for first, last in _BLOCKS:
        for number in range(first, last + 1):
            picture = Image.new("RGBA", (136, 128))
            ImageDraw.Draw(picture).text((0, 0), chr(number), font=loaded, embedded_color=True)
            if picture.getbbox() is None:
                continue
            picture = picture.resize((_SPRITE, _SPRITE), Image.Resampling.BOX)
            values = np.asarray(picture, np.float32).transpose(2, 0, 1) / 255
            values[:3] *= values[3:]
            drawn[f"{number:x}"] = torch.from_numpy(values)
    return drawn


def _texture(random: np.random.Generator) -> Tensor:
    """Draw noise of a random fineness, or stripes, between two colours; shape (3, 192, 192)."""
    colours = torch.from_numpy(random.random((2, 3, 1, 1)).astype(np.float32))
    if random.random() < 0.6:
        amount, weights = torch.zeros(1, 1, _SIDE, _SIDE), 0.0
        roughness = random.uniform(0.3, 0.8)
        for octave in range(1, 6):
            noise = torch.from_numpy(random.random((1, 1, 2**octave, 2**octave)).astype(np.float32))
            amount += roughness**octave * F.interpolate(noise, (_SIDE, _SIDE), mode="bicubic")
            weights += roughness**octave
        amount = amount[0] / weights
    else:
        angle, frequency = random.uniform(0, np.pi), np.exp(random.uniform(np.log(2), np.log(40)))
        across = torch.linspace(0, 1, _SIDE)
        along = across[:, None] * np.sin(angle) + across * np.cos(angle)
        amount = (0.5 + 0.5 * torch.sin(2 * np.pi * frequency * along))[None]
    return colours[0] * amount + colours[1] * (1 - amount)
