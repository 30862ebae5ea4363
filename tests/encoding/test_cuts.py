"""Scene cut detection finds cuts, and nothing that only resembles a cut."""

from __future__ import annotations

import numpy as np
import pytest

from nvcodec.video import open_source
from nvcodec.video.scene_cuts import CONTEXT_PICTURES, is_cut, small_copies, still

HEIGHT, WIDTH = 72, 128


def scene(seed: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Return a picture of blocky shapes at three scales, sample values 16 to 235."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((height, width))
    for cells in (4, 12, 36):
        coarse = rng.random((cells, cells * 2))
        y = np.linspace(0, cells - 1, height).round().astype(int)
        x = np.linspace(0, 2 * cells - 1, width).round().astype(int)
        picture += coarse[y][:, x] * 6 / cells
    picture -= picture.min()
    return 16 + 219 * picture / picture.max()


def cuts(pictures: list[np.ndarray]) -> list[int]:
    """Return the numbers of the pictures at which a cut is found, after adding noise."""
    noise = np.random.default_rng(9).normal(0, 1.5, (len(pictures), *pictures[0].shape))
    luma = np.clip(np.rint(np.stack(pictures) + noise), 0, 255).astype(np.uint8)
    copies = list(small_copies(luma))
    return [
        t
        for t in range(1, len(copies))
        if is_cut(copies[max(t - CONTEXT_PICTURES, 0) : t], copies[t : t + CONTEXT_PICTURES])
    ]


def test_a_cut():
    assert cuts([scene(1)] * 10 + [scene(2)] * 12 + [scene(3)] * 2) == [10, 22]


@pytest.mark.parametrize("seed", range(8))
def test_cuts_between_moving_shots(seed):
    wide = [scene(2 * seed, width=2 * WIDTH), scene(2 * seed + 1, width=2 * WIDTH)]
    pan = [wide[0][:, 5 * t : 5 * t + WIDTH] for t in range(20)]
    pan += [wide[1][:, 3 * t : 3 * t + WIDTH] for t in range(20)]
    assert cuts(pan) == [20]


def test_still_noise_is_no_cut():
    assert cuts([scene(4)] * 20) == []
    assert cuts([np.full((HEIGHT, WIDTH), level) for level in [80, 80, 81, 80, 82] * 4]) == []


@pytest.mark.parametrize("speed", [1, 4, 9])
def test_a_pan_is_no_cut(speed):
    wide = scene(5, width=WIDTH + 20 * speed)
    assert cuts([wide[:, speed * t : speed * t + WIDTH] for t in range(20)]) == []


def test_a_shake_is_no_cut():
    wide = scene(6, HEIGHT + 20, WIDTH + 20)
    steps = np.random.default_rng(0).integers(0, 20, (24, 2))
    assert cuts([wide[y : y + HEIGHT, x : x + WIDTH] for y, x in steps]) == []


@pytest.mark.parametrize("length", [1, 2, 3])
@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_a_flash_is_no_cut(length, strength):
    light = scene(7) + strength * (255 - scene(7))
    assert cuts([scene(7)] * 10 + [light] * length + [scene(7)] * 10) == []


def test_a_flash_beside_a_cut():
    flash = np.full((HEIGHT, WIDTH), 255.0)
    assert cuts([scene(1)] * 10 + [flash] + [scene(2)] * 10) in ([10], [11])
    assert cuts([scene(1)] * 9 + [flash] + [scene(1)] + [scene(2)] * 10) == [11]


@pytest.mark.parametrize("length", [12, 24])
def test_fades_and_dissolves_are_no_cuts(length):
    ramp = np.linspace(0, 1, length)
    first, second, black = scene(8), scene(9), np.full((HEIGHT, WIDTH), 16.0)
    up = [black + part * (first - black) for part in ramp]
    down = [black + part * (first - black) for part in ramp[::-1]]
    white = [first + part * (255 - first) for part in ramp]
    mixed = [first + part * (second - first) for part in ramp]
    assert cuts([black] * 6 + up + [first] * 6) == []
    assert cuts([first] * 6 + down + [black] * 6) == []
    assert cuts([first] * 6 + white + white[::-1] + [first] * 6) == []
    assert cuts([first] * 6 + mixed + [second] * 6) == []


def test_a_stuttering_fade_is_no_cut():
    """Every picture appears twice, so half of the neighbouring pictures are equal."""
    ramp = np.linspace(0, 1, 14).repeat(2)
    assert cuts([16 + part * (scene(8) - 16) for part in ramp]) == []


def test_a_shot_of_a_few_pictures_is_none():
    assert cuts([scene(1)] * 10 + [scene(2)] * 2 + [scene(1)] * 10) == []


def test_still():
    copies = small_copies(np.stack([scene(1), scene(1) + 3, scene(2)]).astype(np.uint8))
    assert still(copies[0], copies[1])
    assert not still(copies[0], copies[2])


@pytest.mark.parametrize("size", [(1, 1), (6, 10), (3, 200), (200, 3), (33, 47), (1080, 1920)])
def test_any_size(size):
    luma = np.zeros((2, *size), np.uint8)
    copies = small_copies(luma)
    assert copies.ndim == 3 and copies.shape[2] <= 96
    assert not is_cut([copies[0]], [copies[1]])


# First frames of shots, found by looking at the clips.
CUTS = {
    "bikes.mp4": [30, 76, 137, 187, 242],
    "cityCC0.mpg": [116],
    "basketballpass_416x240_50fps_100f.mkv": [],
    "davis_bmx-trees_854x480_80f.mkv": [],
    "roadtrip-vp92-10bit.webm": [42, 69],
}


@pytest.mark.parametrize("name", CUTS)
def test_real_clips(clips, name):
    with open_source(clips / name) as source:
        luma = source.read(400).y
    copies = small_copies(luma)
    found = [
        t
        for t in range(1, len(copies))
        if is_cut(copies[max(t - CONTEXT_PICTURES, 0) : t], copies[t : t + CONTEXT_PICTURES])
    ]
    assert found == CUTS[name]
