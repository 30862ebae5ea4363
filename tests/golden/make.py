"""Makes a golden stream of a release.

    python tests/golden/make.py NAME MODEL COLOUR [BPP [RAP_INTERVAL [STEP]]]

MODEL may end in `+boost`; a square moves by STEP samples a frame. With `+tokens` the pictures are
larger, and tokens that no network made are stored beside them; with `+both` or `+shared` the model
is conditioned on the tokens.

A golden stream is made once, by the release that introduces what it shows, and never again: the
tests require every later release to decode it. This script refuses to replace one. (Until the first
release the format may still change; affected streams are then deleted and made again.)
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import sys
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch

import nvcodec
from nvcodec.encoding import encoder
from nvcodec.entropy.latents.decoder import LatentGridReader
from nvcodec.entropy.weights.tensor_codec import decode_tensors
from nvcodec.media import Planes
from nvcodec.models import name_of
from nvcodec.models.base.config import ModelConfig
from nvcodec.models.base.network_config import NetworkConfig
from nvcodec.models.latentgrid.config import LatentGridConfig
from nvcodec.models.synthesis import synthesis
from nvcodec.reconstruction.latentgrid_decoder import LatentGridDecoder
from nvcodec.reconstruction.network_payload import NetworkState, decode_network
from nvcodec.reconstruction.payload import split_payload
from nvcodec.reconstruction.sample_layout import picture_planes
from nvcodec.tokenizer import segment_tokens
from nvcodec.tokenizer.token_sections import read_token_section
from nvcodec.tokens import open_tokens

FOLDER = Path(__file__).parent / "v1"
SIZE = (35, 17)
TIMES = (0, 3, 4, 9, 11)  # irregular, in units of 1/25 s
# With tokens: 3 x 4 of them, in two segments of 3 and 2 steps.
TOKEN_SIZE = (99, 67)
TOKEN_TIMES = (*range(0, 24, 2), 25, 28)


def clip(
    path: Path,
    step: int = 4,
    size: tuple[int, int] = SIZE,
    times: tuple[int, ...] = TIMES,
) -> None:
    """Write a bright square that moves over a gradient, with odd size, irregular times and a tone."""
    width, height = size
    with av.open(str(path), "w") as container:
        video = container.add_stream("ffv1", rate=25)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        audio = container.add_stream("pcm_s16le", rate=16000, layout="mono")
        video.codec_context.color_range, video.codec_context.colorspace = 2, 1
        for t, time in enumerate(times):
            picture = np.zeros((height, width, 3), np.uint8)
            picture[..., 0] = np.linspace(0, 200, width)
            picture[..., 2] = np.linspace(0, 200, height)[:, None]
            picture[4:12, 3 + step * t : 11 + step * t] = (240, 230, 60)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame = frame.reformat(format="yuv420p", dst_color_range=2, dst_colorspace=1)
            frame.pts, frame.time_base = time, Fraction(1, 25)
            container.mux(video.encode(frame))
        container.mux(video.encode())
        tone = (8000 * np.sin(np.arange(3200) * 0.2)).astype(np.int16)
        sound = av.AudioFrame.from_ndarray(tone[None], format="s16", layout="mono")
        sound.sample_rate = 16000
        container.mux(audio.encode(sound))
        container.mux(audio.encode())


def digest(stream: bytes) -> list[str]:
    """Return the SHA-256 of every segment's symbols and steps, the same on every machine."""
    found = []
    with nvcodec.open(stream, device="cpu") as video:
        for entry in video.reader.segments:
            stored = video.reader.segment(entry.index)
            config, body = split_payload(stored, video.reader.header)
            digest = hashlib.sha256()
            for array in integers(config, body):
                digest.update(array.astype("<i4").tobytes())
            found.append(digest.hexdigest())
    return found


def integers(config: ModelConfig, body: bytes) -> Iterator[np.ndarray]:
    """Yield all integers that the pictures of a segment follow from."""
    if isinstance(config, LatentGridConfig):
        layers = config.temporal_layers
        coded = LatentGridReader(
            body, config.layouts, config.frames, layers, config.grid_size, config.cell
        )
        coded.read(layers[-1].depth)
        for kind, layout in config.layouts.items():
            for band, symbols in zip(layout.bands, coded.grids.symbols[kind], strict=True):
                yield symbols[..., : band.size[0], : band.size[1]]
        for _, motion in sorted(coded.motion.items()):
            yield from (motion.levels, motion.modes, motion.vectors)
        yield np.array([coded.steps.base, coded.steps.chroma, *coded.steps.offsets])
    elif isinstance(config, NetworkConfig) and body:
        for tensor in decode_tensors(body, config.tensors()):
            yield tensor.symbols
            yield tensor.steps


def ids(stream: bytes) -> list[int]:
    """Return the token ids of all segments."""
    with open_tokens(stream) as tokens:
        found: list[int] = tokens.grid().indices.ravel().tolist()
        return found


def without_network() -> None:
    """Replace the tokenizer by `BlockTokenizer` of the tests, which needs no network."""
    path = Path(__file__).parent.parent / "fixtures" / "tokens.py"
    spec = importlib.util.spec_from_file_location("token_fixtures", path)
    assert spec is not None and spec.loader is not None
    fixtures = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fixtures)
    made = fixtures.BlockTokenizer()
    segment_tokens.tokenizer = encoder.tokenizer = lambda name: made


def reference(video: nvcodec.Decoder) -> list[Planes]:
    """Return the pictures of every segment, computed in float32 throughout."""
    found = []
    state = None
    for entry in video.reader.segments:
        stored = video.reader.segment(entry.index)
        header = video.reader.header
        config, body = split_payload(stored, header)
        if isinstance(config, LatentGridConfig):
            device = torch.device("cpu")
            pictures = LatentGridDecoder(config, body, video.info.colour, device, state)
            state = pictures.reference_state()
            found.append(pictures.planes(range(stored.frames)))
            continue
        digits = read_token_section(video.reader, entry.index)[1] if config.takes_tokens else None
        model = decode_network(body, config, name_of(header.model), state, digits)
        state = NetworkState(config, [tensor.clone() for tensor in model.transmitted()])
        levels = synthesis(model, torch.float32).temporal_layers(torch.arange(stored.frames))
        found.append(picture_planes(levels, model.config, video.info.colour))
    return found


def main(
    name: str, model: str, colour: str, bpp: str = "10", refresh: str = "1", step: str = "4"
) -> None:
    """Encode the clip; write the stream and the pictures that it decodes to."""
    folder = FOLDER / name
    folder.mkdir(parents=True)
    latents = {"tokens": "both", "both": "both", "shared": "shared"}.get(model.partition("+")[2])
    tokens = latents is not None
    size = TOKEN_SIZE if tokens else SIZE
    if tokens:
        without_network()
    with tempfile.TemporaryDirectory() as work:
        source = Path(work) / "clip.mkv"
        clip(source, int(step), size, TOKEN_TIMES if tokens else TIMES)
        nvcodec.encode(
            source,
            folder / "stream.nvc",
            nvcodec.EncoderConfig(
                model=model.partition("+")[0],
                boost=model.endswith("+boost"),
                latents=latents or "private",
                colour=nvcodec.ColourMode[colour],
                bpp=float(bpp),
                epochs=60,
                segment=9 if tokens else 3,
                refresh=int(refresh),
                device="cpu",
            ),
            measure=False,
        )
    stream = (folder / "stream.nvc").read_bytes()
    with nvcodec.open(stream, device="cpu") as video:
        y, u, v = (np.concatenate(parts) for parts in zip(*reference(video), strict=True))
        planes = video.planes(range(len(video)))
        expected = {
            "made_by": nvcodec.__version__,
            "frames": len(video),
            "size": list(size),
            "pts": planes.pts.tolist(),
            "durations": planes.durations.tolist(),
            "symbols": digest(stream),
            "packets": [
                hashlib.sha256(b"".join(p.data for p in video.reader.packets(track))).hexdigest()
                for track in video.reader.tracks
            ],
        }
    if tokens:
        expected["tokens"] = ids(stream)
    np.savez_compressed(folder / "planes.npz", y=y, u=u, v=v)
    (folder / "expected.json").write_text(json.dumps(expected, indent=2) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
