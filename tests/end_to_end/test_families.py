"""The interface of a model family, shown by one without a network: a grey value per frame."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from fractions import Fraction
from math import prod
from types import ModuleType

import numpy as np
import pytest
import torch

import nvcodec
from nvcodec.decoding import segment_cache
from nvcodec.encoding import encoder
from nvcodec.encoding.encoder import Encoder
from nvcodec.encoding.output_file import OutputFile
from nvcodec.errors import BitstreamError, ChecksumError, ConfigError, UnsupportedVersionError
from nvcodec.fitting.factory import make_fitter
from nvcodec.fitting.interface import CodedSegment, FitProgress, FitTask, SegmentFitter
from nvcodec.fitting.network.fitter import NetworkFitter
from nvcodec.media import ColourMode, Planes
from nvcodec.models import MODELS, Family
from nvcodec.models.base.config import ModelConfig
from nvcodec.reconstruction import memory_limits, segment_decoder
from nvcodec.reconstruction.network_decoder import NetworkDecoder
from nvcodec.reconstruction.payload import pack_payload, split_payload
from nvcodec.reconstruction.resampling import CrossFade, resampled
from nvcodec.reconstruction.segment_decoder import SegmentDecoder, luma_psnr, make_segment_decoder
from nvcodec.tokens import open_tokens

CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True, kw_only=True)
class GreyConfig(ModelConfig):
    shift: int = 0

    def pack(self) -> bytes:
        return bytes((self.shift,))

    @classmethod
    def unpack(cls, data, *, size, frames, colour) -> GreyConfig:
        if len(data) != 1:
            raise BitstreamError("model configuration: expected one byte")
        return cls(size=size, frames=frames, colour=colour, shift=data[0])

    @property
    def parameters(self) -> int:
        return self.frames

    @property
    def macs_per_pixel(self) -> float:
        return 0.0

    @property
    def largest_tensor(self) -> int:
        return prod(self.size)


class GreyDecoder:
    batch = 2

    def __init__(self, config: GreyConfig, body: bytes, fsq_indices=None) -> None:
        self.fsq_indices = fsq_indices
        self._config, self._values = config, np.frombuffer(body, np.uint8) << config.shift
        self.asked: list[list[int]] = []

    def planes(self, frames) -> Planes:
        self.asked.append(list(frames))
        height, width = self._config.size
        y = np.repeat(self._values[list(frames)], height * width).reshape(-1, height, width)
        half = np.full((len(frames), (height + 1) // 2, (width + 1) // 2), 128, np.uint8)
        return y, half, half

    def interpolate(self, times, size) -> Planes:
        return resampled(CrossFade(self.planes, self.batch)(times), size, CPU)

    def reference_state(self) -> object:
        raise AssertionError("nothing is predicted from grey")


class GreyFitter:
    def __init__(self, config: nvcodec.EncoderConfig) -> None:
        self._colour, self.device = config.colour, CPU
        self.epochs = 0
        self.warnings: list[str] = []
        self.tasks: list[FitTask] = []

    def fit(self, task: FitTask) -> list[CodedSegment]:
        self.tasks.append(task)
        self.epochs = 1
        self.warnings.append(f"segment {task.number} is grey")
        if task.on_progress:
            task.on_progress(
                FitProgress(
                    stage="grey", epoch=1, epochs=1, psnr=9.0, bits=32.0, seconds=0.0, remaining=0.0
                )
            )
        values = task.frames.y.mean(axis=(1, 2)).astype(np.uint8)
        config = {"size": task.size, "frames": len(task.frames), "colour": self._colour}
        return [
            CodedSegment(config=GreyConfig(**config, shift=shift), body=(values >> shift).tobytes())
            for shift in range(len(task.bits))
        ]


@pytest.fixture
def created(monkeypatch) -> dict[str, list]:
    """Register the family, and return the fitters and decoders that are created."""
    created: dict[str, list] = {"fitters": [], "decoders": []}

    def fitter(config, device) -> SegmentFitter:
        created["fitters"].append(GreyFitter(config))
        return created["fitters"][-1]

    def opened(stored, header, device, *, number, previous, fsq_indices) -> SegmentDecoder:
        assert previous is None
        created["decoders"].append(GreyDecoder(*split_payload(stored, header), fsq_indices))
        return created["decoders"][-1]

    module = ModuleType("grey.config")
    module.GreyConfig = GreyConfig
    monkeypatch.setitem(sys.modules, "grey.config", module)
    monkeypatch.setitem(MODELS, "grey", Family(200, "grey", "Grey", "a grey value per frame"))
    monkeypatch.setattr(encoder, "make_fitter", fitter)
    monkeypatch.setattr(segment_cache, "open_segment_decoder", opened)
    return created


def test_a_family_without_a_network(created, clip, settings, tmp_path):
    seen = []
    path = tmp_path / "a.nvc"
    config = settings(model="grey", parameters=None, bpp=0.1)
    (encoded,) = Encoder(clip, [path], config, seen.append).run()
    assert (encoded.parameters, encoded.epochs, encoded.segments) == (12, 1, 3)
    assert encoded.warnings == tuple(f"segment {number} is grey" for number in range(3))
    assert [(p.segment, p.segments, p.fit.stage) for p in seen] == [
        (n, 3, "grey") for n in (0, 1, 2)
    ]
    (fitter,) = created["fitters"]
    assert [task.number for task in fitter.tasks] == [0, 1, 2]
    assert len({task.seed for task in fitter.tasks}) == 3
    assert {task.size for task in fitter.tasks} == {(32, 48)}
    assert all(task.bits[0] > 0 and task.seconds is None for task in fitter.tasks)
    info = nvcodec.inspect(path)
    assert (info.model, info.parameters, info.macs_per_pixel) == ("grey", 4, 0.0)
    with nvcodec.open(path, device="cpu") as video:
        got = video.planes([5, 0, 7, 5, 6])
        assert [decoder.asked for decoder in created["decoders"]] == [[[1, 3], [1, 2]], [[0]]]
        for luma, number in zip(got.y, (5, 0, 7, 5, 6), strict=True):
            expected = fitter.tasks[number // 4].frames.y[number % 4].mean()
            assert (luma == int(expected)).all()
        assert sum(len(part) for part in video.frames()) == 12
        start, step = got.pts[1] * video.info.time_base, Fraction(1, 25)
        luma, *_ = video.planes_at([start, start + step / 2, start + step], (20, 10))
        first, second = video.planes([0, 1]).y[:, 0, 0].astype(int)
        assert luma[:, 9, 19].tolist() == [first, (first + second + 1) // 2, second]


@pytest.mark.parametrize("latents", ["private", "both", "shared"])
def test_a_ladder_of_it_is_resumed(created, clip, settings, tmp_path, monkeypatch, blocks, latents):
    monkeypatch.setattr(GreyConfig, "SUPPORTS_TOKENS", latents == "shared")
    config = settings(
        model="grey",
        parameters=None,
        ladder=(800, 900),
        audio=False,
        latents=latents,
        tokenizer=blocks,
    )
    whole = [tmp_path / name for name in ("a.nvc", "b.nvc")]
    Encoder(clip, whole, config).run()
    other = [tmp_path / name for name in ("c.nvc", "d.nvc")]
    real, left = (
        OutputFile.add,
        3,
    )  # the first segment of both files, the second of the first file only

    def add(self, *arguments) -> None:
        nonlocal left
        if not left:
            raise KeyboardInterrupt
        left -= 1
        real(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(OutputFile, "add", add)
        with pytest.raises(KeyboardInterrupt):
            Encoder(clip, other, config).run()
    Encoder(clip, other, config).run(resume=True)
    assert [path.read_bytes() for path in other] == [path.read_bytes() for path in whole]
    assert whole[0].read_bytes() != whole[1].read_bytes()
    # A segment is fitted again unless both files hold it.
    assert [task.number for task in created["fitters"][-1].tasks] == [1, 2]
    assert all(len(task.bits) == 2 for task in created["fitters"][-1].tasks)


def test_a_family_that_is_conditioned_on_tokens(
    created, clip, settings, tmp_path, monkeypatch, blocks
):
    monkeypatch.setattr(GreyConfig, "SUPPORTS_TOKENS", True)
    config = settings(
        model="grey", parameters=None, bpp=9.0, audio=False, latents="shared", tokenizer=blocks
    )
    path = tmp_path / "a.nvc"
    Encoder(clip, [path], config).run()
    stored = [task.fsq_indices for task in created["fitters"][0].tasks]
    assert [fsq_indices.shape for fsq_indices in stored] == [(2, 1, 2, 6)] * 3
    assert created["fitters"][0].tasks[1].bits[0] < 9 * 4 * 32 * 48 - 8 * 40
    with open_tokens(path) as tokens:
        assert tokens.latents == "fed"
        assert (tokens.grid().digits == np.concatenate(stored)).all()
    with nvcodec.open(path, device="cpu") as video:
        assert not created["decoders"] and sum(len(part) for part in video.frames()) == 12
        assert all(
            (one.fsq_indices == of).all()
            for one, of in zip(created["decoders"], stored, strict=True)
        )
    broken = bytearray(path.read_bytes())
    broken[broken.index(b"TOKS", broken.index(b"SEGM")) + 20] ^= 1
    with nvcodec.open(bytes(broken), device="cpu") as video:
        assert [part.pts[0] // 512 for part in video.frames()] == [0, 2, 8, 10]
        with pytest.raises(ChecksumError, match="TOKS section"):
            video[5]
        (damage,) = video.reader.damage
        assert (damage.section, damage.frames) == ("TOKS", (4, 8))
        assert any("frames 4..7 are not decoded" in line for line in video.warnings)
    (few,) = Encoder(clip, [tmp_path / "few.nvc"], replace(config, bpp=0.05)).run()
    assert any("tokens alone take" in line for line in few.warnings)
    monkeypatch.setattr(GreyConfig, "SUPPORTS_TOKENS", False)
    refused = pytest.raises(UnsupportedVersionError, match=r"made from tokens, .* grey are not")
    with nvcodec.open(path, device="cpu") as video, refused:
        video[0]


def test_the_families_of_a_release(settings):
    for name in ("nerv", "hnerv"):
        assert isinstance(make_fitter(settings(model=name), CPU), NetworkFitter)


def test_a_family_without_decoder_and_fitter(created, settings):
    config = GreyConfig(size=(4, 4), frames=1, colour=ColourMode.RGB)
    with pytest.raises(UnsupportedVersionError, match="grey"):
        make_segment_decoder("grey", config, b"\0", nvcodec.media.Colour(), CPU)
    with pytest.raises(ConfigError, match="grey"):
        make_fitter(settings(model="grey"), CPU)


def test_a_model_that_needs_too_much_memory_is_refused(stream, monkeypatch):
    def refuse(*arguments) -> None:
        raise AssertionError("opened")

    monkeypatch.setattr(segment_decoder, "make_segment_decoder", refuse)
    monkeypatch.setattr(memory_limits, "_LARGEST_TENSOR", 100)
    refused = pytest.raises(BitstreamError, match=r"segment 2: .* at most 100")
    with nvcodec.open(stream, device="cpu") as video, refused:
        video[11]


def test_the_decoder_of_a_network(stream):
    with nvcodec.open(stream, device="cpu") as video:
        stored, header = video.reader.segment(1), video.reader.header
        config, body = split_payload(stored, header)
        assert pack_payload(body, config, header) == stored.payload
        opened = make_segment_decoder("hnerv", config, body, video.info.colour, CPU)
        assert isinstance(opened, NetworkDecoder) and opened.batch >= 1
        shown = video.planes(range(4, 8))
        y, u, v = opened.planes([2, 0, 2])
        assert y.shape == (3, 32, 48) and u.shape == v.shape == (3, 16, 24)
        assert (y[0] == y[2]).all() and (y[0] != y[1]).any()
        assert np.abs(y[1].astype(int) - shown.y[0]).max() <= 1
        assert luma_psnr(opened, shown) > 45
