"""Memory of decoding: small files that claim much, real sizes against the bound, no memory at all."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import nvcodec
from nvcodec.config import EncoderConfig
from nvcodec.container import Reader, TokenFormat
from nvcodec.entropy.tokens.codec import encode_tokens
from nvcodec.errors import BitstreamError, ConfigError, NvcodecError, OutOfMemoryError, VideoError
from nvcodec.media import ColourMode
from nvcodec.models import MODELS, config_class
from nvcodec.models.base.network_config import NetworkConfig
from nvcodec.models.hnerv.config import HNeRVConfig
from nvcodec.models.nirvana.config import NirvanaConfig
from nvcodec.tokenizer.token_ids import LEVELS
from nvcodec.video.sinks import container_sink
from tests.fixtures.attacks import latents, stream_of, tracks_of, zeros
from tests.fuzz.bound import CONSTANT, LATENTS_PER_PIXEL, NETWORK_PER_PIXEL, PER_BYTE, bound
from tests.fuzz.child import in_child

MIB = 1 << 20
ROOT = Path(__file__).parents[2]
NETWORKS = sorted(set(MODELS) - {"latentgrid"})


@pytest.fixture(scope="module", autouse=True)
def imports() -> None:
    """Import what decoding needs, so that children need not."""
    with nvcodec.open(latents((32, 32), 3), device="cpu") as video:
        video[1]
    for name in NETWORKS:
        config = _network(name, (32, 32))
        with nvcodec.open(stream_of(config, zeros(config)), device="cpu") as video:
            video[0]


def _peak(
    data: bytes, frames: Callable[[int], list[int]], small: bytes = latents((32, 32), 3)
) -> int:
    """Return by how much a process grows that decodes frames to RGB, bytes.

    Args:
        data: The stream.
        frames: Function that returns the numbers of the frames, given how many there are.
        small: Small stream that needs the same libraries, which is decoded before.
    """

    def decode(data: bytes, frames: Callable[[int], list[int]]) -> str:
        with nvcodec.open(data, device="cpu") as video:
            for frame in frames(len(video)):
                try:
                    video[frame]
                except BitstreamError as error:
                    return str(error)
        return ""

    _, peak = in_child(
        lambda: decode(data, frames),
        address_space=8 << 30,
        warm_up=lambda: decode(small, lambda count: [1]),
    )
    return peak


def _network(name: str, size: tuple[int, int]) -> NetworkConfig:
    family = config_class(name)
    assert issubclass(family, NetworkConfig)
    return family.from_budget(60_000, size=size, frames=4, colour=ColourMode.RGB)


def _padded(stages: int) -> HNeRVConfig:
    return HNeRVConfig(
        size=(16, 16),
        frames=1,
        colour=ColourMode.RGB,
        strides=(8,) * stages,
        kernels=(1,) * stages,
        widths=(1,) * (stages + 1),
        channels=1,
    )


def test_motion_is_decoded_as_frames_are_asked():
    # 8192 frames of 256x256 with 4096 cells each: the motion of all together takes 336 MB. Arrays of
    # zeros may come from memory that earlier tests have freed, and then count as touched.
    data = latents((256, 256), 8192, cell=4, group=64)
    assert len(data) < 20_000
    assert _peak(data, lambda count: [count // 2]) < 300 * MIB


def test_a_large_frame_takes_few_bytes_per_pixel():
    size = (1536, 2048)
    data = latents(size, 1, cell=32)
    assert len(data) < 400
    peak = _peak(data, lambda count: [0])
    assert peak < 20 * size[0] * size[1] + 16 * MIB, f"{peak / 3 / 2**20:.1f} bytes per pixel"


def test_long_lines_of_cells_need_no_square_matrices():
    data = latents((2, 65535), 2, cell=4)
    assert _peak(data, lambda count: [1]) < 100 * MIB


def test_padding_is_bounded_by_the_picture():
    config = _padded(4)
    data = stream_of(config, zeros(config))
    assert len(data) < 300
    with (
        nvcodec.open(data, device="cpu") as video,
        pytest.raises(BitstreamError, match="needs a tensor"),
    ):
        video[0]
    assert _peak(data, lambda count: [0]) < 16 * MIB


def test_a_predicted_network_cannot_grow_without_bytes():
    def config(frames: int) -> NirvanaConfig:
        return NirvanaConfig(
            size=(64, 64),
            frames=frames,
            colour=ColourMode.YUV420,
            strides=(1,),
            kernels=(1,),
            widths=(1, 4096),
            depth=1,
        )

    data = stream_of(config(1), zeros(config(1)), predicted=((b"\0", 1000),))
    with nvcodec.open(data, device="cpu") as video:
        assert video[0].shape == (64, 64, 3)
        with pytest.raises(BitstreamError, match="predicted network has"):
            video[5]


def test_codes_of_tokens_on_a_fine_grid_are_not_kept():
    config = HNeRVConfig(
        size=(64, 64),
        frames=8001,
        colour=ColourMode.RGB,
        strides=(1,),
        kernels=(1,),
        widths=(1, 1),
        channels=0,
        token_conditioned=True,
    )
    tokens = encode_tokens(np.zeros((2001, 2, 2, 6), np.uint8), LEVELS)
    form = TokenFormat(
        tokenizer_id=bytes(16), conditioning=True, time_stride=4, space_stride=32, levels=LEVELS
    )
    data = stream_of(config, zeros(config), tokens=(form, tokens))
    assert len(data) < 3000
    # 2001 steps of 6 channels at 64x64 are 197 MB.
    assert _peak(data, lambda count: [4000]) < 100 * MIB


def test_parameters_of_all_tracks_have_one_sum(tmp_path):
    path = tmp_path / "tracks.nvc"
    path.write_bytes(tracks_of(5, 4 << 20))
    with pytest.raises(VideoError, match="all tracks"):
        nvcodec.decode(path, tmp_path / "out.mkv", device="cpu")
    assert not (tmp_path / "out.mkv").exists()


@pytest.mark.parametrize("size", [(64, 64), (720, 1280), (600, 800)])
def test_the_bound_holds_for_latents(size):
    data = latents(size, 5, cell=8)
    assert _peak(data, lambda count: [1]) < LATENTS_PER_PIXEL * size[0] * size[1] + 64 * MIB


@pytest.mark.parametrize("size", [(64, 64), (240, 320)])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_bound_holds_for_networks(name, size):
    config, small = _network(name, size), _network(name, (32, 32))
    peak = _peak(
        stream_of(config, zeros(config)), lambda count: [1], stream_of(small, zeros(small))
    )
    # The bound for each pixel is that of 512 values, the most that a layer may have.
    assert peak < NETWORK_PER_PIXEL // 512 * config.largest_tensor + 48 * MIB


def test_a_failed_allocation_is_a_typed_error():
    # In a process of its own: one that has run other tests has free memory without asking for it.
    command = "from tests.decoding.test_memory import decode_starved; decode_starved()"
    run = subprocess.run(
        [sys.executable, "-c", command], capture_output=True, cwd=ROOT, check=True, text=True
    )
    outcomes = json.loads(run.stdout)
    assert len(outcomes) == 3
    for outcome in outcomes:
        assert outcome.startswith(OutOfMemoryError.__name__) and "2048x2048" in outcome, outcome


def decode_starved() -> None:
    """Decode with little memory to spare, three times, and print what comes of it as JSON."""
    data = latents((2048, 2048), 3, cell=32)

    def decode() -> str:
        try:
            with nvcodec.open(data, device="cpu") as video:
                video[1]
        except NvcodecError as error:
            return f"{type(error).__name__}: {error}"
        return "decoded"

    with nvcodec.open(latents((32, 32), 3), device="cpu") as video:
        video[1]
    spaces = (1 << 20, 24 << 20, 40 << 20)
    print(json.dumps([in_child(decode, address_space=space)[0] for space in spaces]))  # noqa: T201


def test_the_bound_is_documented(request):
    text = (request.config.rootpath / "docs" / "bitstream.md").read_text()
    for number in (CONSTANT, PER_BYTE, LATENTS_PER_PIXEL, NETWORK_PER_PIXEL):
        assert f"2^{number.bit_length() - 1}" in text and number.bit_count() == 1
    assert bound(latents((64, 64), 1)) > CONSTANT + LATENTS_PER_PIXEL * 64 * 64


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_no_encoder_is_opened_for_a_picture_that_cannot_be_decoded(monkeypatch, tmp_path, suffix):
    """It would take memory in proportion to the size that the stream claims."""
    opened = []
    monkeypatch.setattr(container_sink, "open_muxer", lambda *_, **__: opened.append(1))
    data = latents((2048, 2048), 3)
    path = tmp_path / "claims.nvc"
    with Reader(data) as reader:
        start = reader.segments[0].offset
    path.write_bytes(data[: start + 60] + b"damaged" + data[start + 67 :])
    with pytest.raises(BitstreamError):
        nvcodec.decode(path, tmp_path / f"out{suffix}")
    assert not opened and [file.name for file in tmp_path.iterdir()] == [path.name]


def test_an_encode_makes_no_network_that_a_decoder_refuses(make_clip, tmp_path):
    clip = make_clip(frames=8, size=(48, 32))
    config = EncoderConfig(model="nirvana", parameters=2_000_000, epochs=1)
    with pytest.raises(ConfigError, match=r"predicted network has .* choose a smaller size, fewer"):
        nvcodec.encode(clip, tmp_path / "out.nvc", config)
