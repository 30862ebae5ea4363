"""`--mask`: hidden pixels do not influence the file, cost no bits, and are filled in."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

import nvcodec
from nvcodec.errors import ConfigError, VideoError
from nvcodec.media import ColourMode
from tests.fixtures.clips import moving_picture
from tests.fixtures.commands import run_here

WIDTH, HEIGHT = 48, 32
# Odd sides and positions, so that chroma samples lie on both sides of the edge.
HIDDEN = (slice(9, 22), slice(13, 30))


def box(shift: int = 0) -> np.ndarray:
    """Return a mask that is white except for a box."""
    mask = np.full((HEIGHT, WIDTH), 255, np.uint8)
    rows, columns = HIDDEN
    mask[rows, columns.start + shift : columns.stop + shift] = 0
    return mask


def still_box(t: int) -> np.ndarray:
    return box()


def picture_with(content: Callable[[int], object], mask: Callable[[int], np.ndarray] = still_box):
    """Return a function of pictures that show other content where a mask is black."""

    def picture(t: int, width: int, height: int) -> np.ndarray:
        shown = moving_picture(t, width, height)
        shown[mask(t) == 0] = content(t)
        return shown

    return picture


def flicker(t: int) -> object:
    return (0, 255, 0) if t % 2 else (255, 0, 255)


def save(path: Path, *masks: np.ndarray) -> Path:
    """Save one mask as a picture, or several as a folder, and return its path."""
    if len(masks) == 1:
        assert cv2.imwrite(str(path), masks[0])
        return path
    path.mkdir()
    for t, mask in enumerate(masks):
        assert cv2.imwrite(str(path / f"{t:03}.png"), mask)
    return path


@pytest.fixture
def lossless(make_clip) -> Callable[..., Path]:
    """A function that writes lossless clips in RGB."""

    def make(name: str, picture, frames: int = 8) -> Path:
        return make_clip(
            name, frames=frames, size=(WIDTH, HEIGHT), codec="ffv1", pix_fmt="bgr0", picture=picture
        )

    return make


@pytest.fixture
def still_mask(tmp_path) -> Path:
    return save(tmp_path / "mask.png", box())


def encode_bytes(source: Path, target: Path, config: nvcodec.EncoderConfig) -> bytes:
    nvcodec.encode(source, target, config, measure=False)
    return target.read_bytes()


FAMILIES = {
    "hnerv": {},
    "hnerv in RGB": {"colour": ColourMode.RGB},
    "hnerv on patches": {"fit": nvcodec.FitConfig(epochs=1, patch=12)},
    "nerv for a PSNR": {"model": "nerv", "parameters": None, "psnr": 16.0, "frames": slice(0, 2)},
    "boosted hnerv in RGB": {
        "boost": True, "parameters": 5000, "colour": ColourMode.RGB, "frames": slice(0, 2)
    },
    "nerv": {"model": "nerv"},
    "nervpp": {"model": "nervpp", "parameters": 4000},
    "nirvana": {"model": "nirvana", "parameters": 900},
    "nirvana at a lmbda": {"model": "nirvana", "parameters": None, "lmbda": 30.0},
    "latentgrid in RGB": {
        "model": "latentgrid", "parameters": None, "bpp": 1.0, "epochs": 1,
        "colour": ColourMode.RGB,
    },
    "a resized source": {"resize": (38, 22)},
    "a ladder's size": {"model": "nerv", "parameters": None, "size": 1500},
}  # fmt: skip


@pytest.mark.parametrize("options", FAMILIES.values(), ids=FAMILIES)
def test_hidden_content_has_no_influence(
    lossless, tmp_path, settings, few_context_steps, still_mask, options
):
    # Two segments, the second of which may be predicted from the first.
    config = settings(mask=still_mask, segment=2, **options)
    contents = {"a": lambda t: 17 * t, "b": flicker}
    first, second = (
        encode_bytes(
            lossless(f"{name}.mkv", picture_with(content), 4), tmp_path / f"{name}.nvc", config
        )
        for name, content in contents.items()
    )
    assert first == second


def test_without_a_mask_it_has(lossless, tmp_path, settings):
    first = encode_bytes(
        lossless("a.mkv", picture_with(lambda t: 0)), tmp_path / "a.nvc", settings()
    )
    second = encode_bytes(lossless("b.mkv", picture_with(flicker)), tmp_path / "b.nvc", settings())
    assert first != second


def test_a_hidden_cut_is_none(lossless, tmp_path, settings):
    def strip(t: int) -> np.ndarray:
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        mask[:6] = 255
        return mask

    def shots(t: int) -> object:
        cells = np.random.default_rng(t >= 9).integers(0, 256, (4, 6, 3), np.uint8)
        return cells.repeat(8, 0).repeat(8, 1)[: HEIGHT - 6].reshape(-1, 3)

    cut = lossless("cut.mkv", picture_with(shots, strip), frames=18)
    plain = lossless("plain.mkv", picture_with(lambda t: 90, strip), frames=18)
    config = settings(segment=None)
    encode_bytes(cut, tmp_path / "a.nvc", config)
    assert nvcodec.inspect(tmp_path / "a.nvc").segments == ((0, 9), (9, 9))
    masked = settings(segment=None, mask=save(tmp_path / "mask.png", strip(0)))
    found = encode_bytes(cut, tmp_path / "b.nvc", masked)
    assert nvcodec.inspect(tmp_path / "b.nvc").segments == ((0, 18),)
    assert found == encode_bytes(plain, tmp_path / "c.nvc", masked)


@pytest.mark.parametrize("model", ["hnerv", "nirvana", "latentgrid"])
def test_one_mask_a_frame(lossless, tmp_path, settings, few_context_steps, model):
    # The first frame of the second segment is masked wholly.
    masks = [np.zeros_like(box()) if t == 3 else box(t) for t in range(5)]
    mask = save(tmp_path / "masks", *masks)
    options = {"model": model, "mask": mask, "frames": slice(1, 5), "segment": 2}
    if model == "latentgrid":
        options |= {"parameters": None, "psnr": 30.0, "epochs": 1}
    hidden = [
        encode_bytes(
            lossless(f"{number}.mkv", picture_with(content, lambda t: masks[t]), frames=5),
            tmp_path / f"{number}.nvc",
            settings(**options),
        )
        for number, content in enumerate((lambda t: 17 * t, flicker))
    ]
    assert hidden[0] == hidden[1]


@pytest.mark.parametrize("model", ["hnerv", "latentgrid"])
def test_what_is_hidden_is_filled_in(
    lossless, tmp_path, settings, few_context_steps, still_mask, model
):
    def smooth(t: int, width: int, height: int) -> np.ndarray:
        x, y = np.meshgrid(np.arange(width), np.arange(height))
        return np.stack([60 + 2 * x + t, 200 - 3 * y, 90 + x + y], -1).astype(np.uint8)

    def spoilt(t: int, width: int, height: int) -> np.ndarray:
        shown = smooth(t, width, height)
        shown[HIDDEN] = flicker(t)
        return shown

    options = {"model": model, "epochs": 40}
    if model == "latentgrid":
        options = {"model": model, "parameters": None, "psnr": 36.0, "epochs": 1}
    source = lossless("a.mkv", spoilt, 4)
    encode_bytes(source, tmp_path / "a.nvc", settings(mask=still_mask, **options))
    with nvcodec.open(tmp_path / "a.nvc") as video:
        made = np.stack(list(video)).astype(float)
    truth = np.stack([smooth(t, WIDTH, HEIGHT) for t in range(4)])
    error = np.square(made - truth)[(slice(None), *HIDDEN)].mean()
    assert 10 * np.log10(255**2 / error) > 24


def test_hidden_noise_costs_no_bits(lossless, tmp_path, settings, few_context_steps, still_mask):
    chance = np.random.default_rng(0)

    def noise(t: int) -> object:
        return chance.integers(0, 256, (int((box() == 0).sum()), 3), np.uint8)

    options = {"model": "latentgrid", "parameters": None, "psnr": 34.0, "epochs": 1}
    source = lossless("a.mkv", picture_with(noise), 2)
    spent = len(encode_bytes(source, tmp_path / "a.nvc", settings(**options)))
    saved = len(encode_bytes(source, tmp_path / "b.nvc", settings(mask=still_mask, **options)))
    assert saved < 0.5 * spent


@pytest.mark.parametrize("model", ["hnerv", "latentgrid"])
def test_a_white_mask_changes_nothing(clip, tmp_path, settings, few_context_steps, model):
    options = {"model": model}
    if model == "latentgrid":
        options |= {"parameters": None, "bpp": 1.0, "epochs": 1, "frames": slice(0, 4)}
    mask = save(tmp_path / "mask.png", np.full((HEIGHT, WIDTH), 255, np.uint8))
    plain = encode_bytes(clip, tmp_path / "a.nvc", settings(**options))
    assert encode_bytes(clip, tmp_path / "b.nvc", settings(mask=mask, **options)) == plain


def test_a_resumed_encode_is_an_uninterrupted_one(clip, tmp_path, settings, still_mask, interrupt):
    config = settings(mask=still_mask)
    whole = encode_bytes(clip, tmp_path / "a.nvc", config)
    interrupt(clip, tmp_path / "b.nvc", config, 1)
    other = settings(mask=save(tmp_path / "other.png", box(3)))
    for wrong in (other, settings()):
        with pytest.raises(ConfigError, match="other settings"):
            nvcodec.encode(clip, tmp_path / "b.nvc", wrong, resume=True)
    nvcodec.encode(clip, tmp_path / "b.nvc", config, resume=True, measure=False)
    assert (tmp_path / "b.nvc").read_bytes() == whole


def test_masks_that_do_not_fit(clip, tmp_path, settings):
    small = save(tmp_path / "small.png", box()[:, 1:])
    with pytest.raises(VideoError, match=r"expected a mask of 48x32.*found 47x32"):
        nvcodec.encode(clip, tmp_path / "a.nvc", settings(mask=small))
    few = save(tmp_path / "few", *[box()] * 11)
    with pytest.raises(VideoError, match=r"single picture, or 12 frames.*found 11"):
        nvcodec.encode(clip, tmp_path / "a.nvc", settings(mask=few))
    black = save(tmp_path / "black.png", np.full_like(box(), 120))
    with pytest.raises(VideoError, match="found none lighter than middle grey"):
        nvcodec.encode(clip, tmp_path / "a.nvc", settings(mask=black))
    missing = settings(mask=tmp_path / "missing.png")
    with pytest.raises(VideoError, match="no such file"):
        nvcodec.encode(clip, tmp_path / "a.nvc", missing)
    late = [box() if t < 4 or t > 7 else np.zeros_like(box()) for t in range(12)]
    hides = settings(mask=save(tmp_path / "late", *late))
    with pytest.raises(VideoError, match="frames 4 to 7 are a segment, and all of them are hidden"):
        nvcodec.encode(clip, tmp_path / "a.nvc", hides)
    assert not (tmp_path / "a.nvc").exists()


def test_the_command_line(clip, tmp_path, settings, still_mask, measured_here):
    command = ["encode", str(clip), "-o", str(tmp_path / "a.nvc"), "--mask", str(still_mask)]
    command += ["--model", "nerv", "--epochs", "1", "--segment", "12", "--json", "-q"]
    done = run_here(command)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    whole = nvcodec.compare(clip, tmp_path / "a.nvc").quality
    assert report["psnr_y"] == pytest.approx(whole.psnr_y)
    config = settings(model="nerv", parameters=None, segment=12, mask=still_mask, device="auto")
    assert (tmp_path / "a.nvc").read_bytes() == encode_bytes(clip, tmp_path / "b.nvc", config)
