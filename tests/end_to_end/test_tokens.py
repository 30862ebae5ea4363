"""Tokens that an encode computes and stores, beside a model or as its condition."""

from __future__ import annotations

import json
import subprocess
import sys

import cv2
import numpy as np
import pytest

import nvcodec
from nvcodec.cli import main
from nvcodec.container import Reader
from nvcodec.encoding.rate_allocation import RateBudget
from nvcodec.errors import BitstreamError, ConfigError
from nvcodec.media import ColourMode
from nvcodec.tokenizer.token_sections import payload_budget, token_section_bytes
from nvcodec.tokens import open_tokens
from nvcodec.video.colour import rgb
from nvcodec.video.sources.source import open_source
from tests.fixtures.clips import moving_picture
from tests.fixtures.tokens import BlockTokenizer


@pytest.fixture
def wide_clip(shared_folder, make_clip):
    """A clip of 12 frames of 100x70, without sound: 3 x 4 tokens per step."""
    path = shared_folder / "wide.mkv"
    if not path.exists():
        make_clip("w.mkv", frames=12, size=(100, 70), codec="ffv1").rename(path)
    return path


@pytest.fixture
def token_settings(settings, blocks):
    """A function of settings for encodes with tokens."""

    def made(**options) -> nvcodec.EncoderConfig:
        return settings(**{"latents": "both", "tokenizer": blocks, "segment": 5, **options})

    return made


def expected(path, *segments: slice, size=None) -> np.ndarray:
    """Return the token digits of segments of a source."""
    with open_source(path, resize=size) as source:
        frames = source.read(1000)
        pictures = rgb(frames.y, frames.u, frames.v, source.info.colour)
    return np.concatenate(
        [BlockTokenizer().digits(np.moveaxis(pictures[part], -1, 1)) for part in segments]
    )


PARTS = (slice(0, 5), slice(5, 10), slice(10, 12))


@pytest.mark.parametrize(
    "model", [{"model": "nerv"}, {"model": "latentgrid", "parameters": None, "bpp": 0.5}]
)
def test_tokens_beside_any_model(
    token_settings, settings, wide_clip, tmp_path, few_context_steps, model
):
    config = token_settings(**model)
    report = nvcodec.encode(wide_clip, tmp_path / "a.nvc", config, measure=False)
    with open_tokens(tmp_path / "a.nvc") as tokens:
        assert tokens.tokenizer_id == BlockTokenizer.tokenizer_id
        assert (tokens.latents, tokens.size, tokens.shape) == ("beside", (100, 70), (3, 4))
        grid = tokens.grid()
        assert (grid.digits == expected(wide_clip, *PARTS)).all()
        assert len({*grid.indices.ravel().tolist()}) > 10
        taken = tokens.token_bytes
    assert report.video_bytes == (tmp_path / "a.nvc").stat().st_size
    if model["model"] == "nerv":
        # Without a target size, tokens do not change the payloads.
        plain = settings(segment=5, **model)
        nvcodec.encode(wide_clip, tmp_path / "b.nvc", plain, measure=False)
        with Reader(tmp_path / "a.nvc") as one, Reader(tmp_path / "b.nvc") as other:
            assert [one.payload(n) for n in range(3)] == [other.payload(n) for n in range(3)]
            assert 0 < one.file_bytes - other.file_bytes - taken < 50
    with nvcodec.open(tmp_path / "a.nvc", device="cpu") as video:
        assert len(video) == 12 and video[11].shape == (70, 100, 3) and not video.losses


def test_what_a_decoder_sees_is_tokenised(token_settings, wide_clip, tmp_path):
    config = token_settings(resize=(64, 40), segment=12, parameters=8000)
    nvcodec.encode(wide_clip, tmp_path / "a.nvc", config, measure=False)
    with open_tokens(tmp_path / "a.nvc") as tokens:
        assert tokens.size == (64, 40)
        assert (tokens.grid().digits == expected(wide_clip, slice(0, 12), size=(64, 40))).all()


def test_what_a_mask_hides_is_not_in_the_tokens(token_settings, make_clip, tmp_path):
    files = []
    mask = np.full((70, 100), 255, np.uint8)
    mask[20:50, 30:80] = 0
    assert cv2.imwrite(str(tmp_path / "mask.png"), mask)
    for grey in (0, 255):

        def picture(t: int, width: int, height: int, grey: int = grey) -> np.ndarray:
            shown = moving_picture(t, width, height)
            shown[mask == 0] = grey
            return shown

        options = {"frames": 4, "size": (100, 70), "codec": "ffv1", "picture": picture}
        source = make_clip(f"{grey}.mkv", **options)
        target = tmp_path / f"{grey}.nvc"
        nvcodec.encode(source, target, token_settings(mask=tmp_path / "mask.png"), measure=False)
        files.append(target.read_bytes())
    assert files[0] == files[1]


def test_they_count_in_the_size(token_settings, settings, wide_clip, tmp_path, few_context_steps):
    assert payload_budget(None, bytes(10)) is None
    assert payload_budget(1000.0, bytes(10)) == 1000 - 8 * token_section_bytes(bytes(10))
    assert payload_budget(100.0, bytes(10)) == 8
    config = {"model": "latentgrid", "parameters": None, "size": 2000, "frames": slice(0, 5)}
    sizes = {}
    for latents in ("private", "both"):
        path = tmp_path / f"{latents}.nvc"
        nvcodec.encode(wide_clip, path, token_settings(latents=latents, **config), measure=False)
        sizes[latents] = path.stat().st_size
    assert abs(sizes["both"] - sizes["private"]) < 0.05 * sizes["private"]
    with Reader(tmp_path / "both.nvc") as one, Reader(tmp_path / "private.nvc") as other:
        # Half of them, because a size is met within 1 %.
        assert len(one.payload(0)) < len(other.payload(0)) - 0.5 * one.token_bytes
    shares = []
    for beside in (0, 700):
        budget = RateBudget(settings(parameters=None, size=10_000, segment=5), 20, 1)
        budget.spend(10, 1000, 4900, beside)
        shares.append(budget.bits(1, 10, 5, 1000))
    assert shares[0] - shares[1] == pytest.approx(8 * 700 * 5 / 10)


def test_an_interrupted_encode_goes_on(token_settings, wide_clip, tmp_path, interrupt):
    config = token_settings()
    nvcodec.encode(wide_clip, tmp_path / "a.nvc", config, measure=False)
    interrupt(wide_clip, tmp_path / "b.nvc", config, 2)
    with Reader(tmp_path / "b.nvc.partial") as reader:
        assert len(reader.segments) == 2 and reader.tokens(1).payload
    with pytest.raises(ConfigError, match="other settings"):
        private = token_settings(latents="private")
        nvcodec.encode(wide_clip, tmp_path / "b.nvc", private, resume=True, measure=False)
    nvcodec.encode(wide_clip, tmp_path / "b.nvc", config, resume=True, measure=False)
    assert (tmp_path / "a.nvc").read_bytes() == (tmp_path / "b.nvc").read_bytes()


def test_info(token_settings, wide_clip, tmp_path, capsys):
    nvcodec.encode(wide_clip, tmp_path / "a.nvc", token_settings(), measure=False)
    assert main(["info", "--json", str(tmp_path / "a.nvc")]) == 0
    found = json.loads(capsys.readouterr().out)["tokens"]
    with open_tokens(tmp_path / "a.nvc") as tokens:
        taken = tokens.token_bytes
    assert found == {
        "tokenizer_id": BlockTokenizer.tokenizer_id,
        "fed": True,
        "steps": 6,
        "rows": 3,
        "columns": 4,
        "bytes": taken,
        "bits_per_token": pytest.approx(8 * taken / 72),
    }
    code = "import sys, nvcodec; assert nvcodec.inspect('a.nvc').tokens; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
    nvcodec.encode(wide_clip, tmp_path / "b.nvc", token_settings(latents="private"), measure=False)
    assert nvcodec.inspect(tmp_path / "b.nvc").tokens is None


def test_settings_that_cannot_work(settings):
    with pytest.raises(ConfigError, match="latents among private, shared, both, got 'all'"):
        settings(latents="all")
    for model in ("latentgrid", "nerv", "ngp", "nirvana", "nervpp"):
        with pytest.raises(
            ConfigError, match=f"{model} cannot be made from shared latents; .*both"
        ):
            settings(model=model, latents="shared")


@pytest.mark.parametrize(
    "options",
    [
        {"latents": "shared"},
        {"latents": "both", "colour": ColourMode.RGB},
        {"latents": "both", "boost": True, "parameters": 4000},
        {"latents": "shared", "parameters": None, "bpp": 2.0},
        # Of two segments only: each takes several fits.
        {"latents": "shared", "parameters": None, "psnr": 15, "frames": slice(0, 8)},
    ],
)
def test_networks_made_of_tokens(token_settings, wide_clip, tmp_path, options):
    config = token_settings(model="hnerv", **options)
    count = config.frames.stop if config.frames else 12
    parts = [slice(first, min(first + 5, count)) for first in range(0, count, 5)]
    report = nvcodec.encode(wide_clip, tmp_path / "a.nvc", config, measure=False)
    # One epoch may not reach a PSNR.
    assert "psnr" in options or not report.warnings
    with open_tokens(tmp_path / "a.nvc") as tokens:
        assert tokens.latents == "fed"
        assert (tokens.grid().digits == expected(wide_clip, *parts)).all()
        taken = tokens.token_bytes
    assert report.video_bytes == (tmp_path / "a.nvc").stat().st_size > taken
    if "bpp" in options:
        assert report.video_bytes * 8 == pytest.approx(2.0 * 12 * 100 * 70, rel=0.05)
    with nvcodec.open(tmp_path / "a.nvc", device="cpu") as video:
        assert len(video) == count
        whole = [video[t] for t in range(count)]
        assert not video.losses and whole[-1].shape == (70, 100, 3)
        assert (video.pictures_at([7 / 25], (100, 70))[0] == whole[7]).all()


def test_without_its_tokens_a_segment_made_of_them_is_lost(token_settings, wide_clip, tmp_path):
    path = tmp_path / "a.nvc"
    nvcodec.encode(wide_clip, path, token_settings(model="hnerv", latents="shared"), measure=False)
    with nvcodec.open(path, device="cpu") as video:
        whole = [video[t] for t in range(12)]
    data = bytearray(path.read_bytes())
    second = data.index(b"TOKS", data.index(b"TOKS") + 4)
    data[second + 12] ^= 1
    path.write_bytes(data)
    with nvcodec.open(path, device="cpu") as video:
        for t in (*range(5), 10, 11):
            assert (video[t] == whole[t]).all()
        with pytest.raises(BitstreamError, match="TOKS"):
            video[6]
