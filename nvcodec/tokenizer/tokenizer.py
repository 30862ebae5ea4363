"""The shared tokenizer: one frozen network for all videos, so that their tokens can be compared.

It comes as a folder, `config.json` and `model.safetensors`, or with the package as `bundled:small`.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from nvcodec.config import DEFAULT_TOKENIZER
from nvcodec.errors import ConfigError
from nvcodec.models.tokenizer.layout import SPACE_STRIDE, TIME_STRIDE, steps_of
from nvcodec.models.tokenizer.networks import TokenDecoder, TokenEncoder
from nvcodec.tokenizer.fsq import quantise
from nvcodec.tokenizer.token_ids import LEVELS, codes_of, pack_ids, unpack_ids

BUNDLED = Path(__file__).parent / "weights"
_PREFIX = "bundled:"
_KIND, _VERSION = "nvcodec.VideoTokenizer", 1
_ENCODER, _DECODER = (48, 64, 112, 144, 160), (160, 128, 112)
_CONFIG, _WEIGHTS = "config.json", "model.safetensors"
_LARGEST_WIDTH = 4096
_PIXELS = 1 << 23  # of pictures at a time, for memory's sake


@dataclass(frozen=True, slots=True)
class Encoded:
    """Tokens of a batch of videos.

    Attributes:
        indices: Ids, int32, shape (B, t, h, w).
        codes: The vectors they stand for, float32 in [-1, 1], shape (B, 6, t, h, w).
        grid_thw: t, h and w of each video, int64, shape (B, 3).
    """

    indices: Tensor
    codes: Tensor
    grid_thw: Tensor


class VideoTokenizer:
    """A frozen encoder, and a decoder that gives a preview.

    Args:
        encoder: Pictures to vectors.
        decoder: Codes to pictures.
        widths: Of both, as stored in `config.json`.

    Attributes:
        encoder: As given.
        decoder: As given.
        levels: Of the digits of a token.
        codebook_size: How many ids there are.
        temporal_compression_ratio: Frames of a step, but for the first.
        spatial_compression_ratio: Samples along each side of a cell.
    """

    levels = LEVELS
    codebook_size = int(np.prod(LEVELS))
    temporal_compression_ratio = TIME_STRIDE
    spatial_compression_ratio = SPACE_STRIDE

    def __init__(
        self,
        encoder: TokenEncoder,
        decoder: TokenDecoder,
        widths: tuple[tuple[int, ...], tuple[int, ...]],
    ) -> None:
        self.encoder, self.decoder, self._widths = encoder, decoder, widths

    @classmethod
    def untrained(
        cls, encoder: tuple[int, ...] = _ENCODER, decoder: tuple[int, ...] = _DECODER
    ) -> VideoTokenizer:
        """Networks as they are before training.

        Args:
            encoder: Five widths, see `TokenEncoder`.
            decoder: Three widths, see `TokenDecoder`.
        """
        channels = len(LEVELS)
        return cls(
            TokenEncoder(channels, encoder), TokenDecoder(channels, decoder), (encoder, decoder)
        )

    @classmethod
    def from_pretrained(
        cls, path: str | Path = DEFAULT_TOKENIZER, *, device: str | torch.device = "cpu"
    ) -> VideoTokenizer:
        """A tokenizer from its folder, or one that comes with the package. Nothing is downloaded.

        Args:
            path: The folder, or `bundled:` and a name.
            device: Where it is to run.

        Raises:
            ConfigError: If there is none, or its files are damaged.
        """
        folder = _folder(path)
        try:
            config = json.loads((folder / _CONFIG).read_text())
            widths = _widths_of(config)
            state = load_file(folder / _WEIGHTS)
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise ConfigError(
                f"{folder}: expected a tokenizer, {_CONFIG} and {_WEIGHTS}: {error}"
            ) from error
        tokenizer = cls.untrained(*widths)
        try:
            tokenizer._both().load_state_dict({name: of.float() for name, of in state.items()})
        except RuntimeError as error:
            raise ConfigError(f"{folder / _WEIGHTS}: {error}") from error
        tokenizer._both().eval().requires_grad_(False).to(device)
        return tokenizer

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the folder that `from_pretrained` reads; weights are rounded to float16."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        encoder, decoder = self._widths
        config = {
            "kind": _KIND,
            "version": _VERSION,
            "levels": list(LEVELS),
            "temporal_compression_ratio": TIME_STRIDE,
            "spatial_compression_ratio": SPACE_STRIDE,
            "encoder_widths": list(encoder),
            "decoder_widths": list(decoder),
        }
        both = self._both()
        rounded = {name: of.detach().cpu().half() for name, of in both.state_dict().items()}
        # What has been saved is what this object is from now on, and its id that of the file.
        both.load_state_dict({name: of.float() for name, of in rounded.items()})
        save_file({name: of.contiguous() for name, of in rounded.items()}, folder / _WEIGHTS)
        (folder / _CONFIG).write_text(json.dumps(config, indent=1) + "\n")

    @property
    def tokenizer_id(self) -> str:
        """A hash of what decides the ids, encoder and levels: 32 hexadecimal digits."""
        # The version stands for what is not in the weights: the arithmetic around them.
        found = hashlib.sha256(json.dumps([_VERSION, LEVELS, TIME_STRIDE, SPACE_STRIDE]).encode())
        for name, tensor in sorted(self.encoder.state_dict().items()):
            found.update(name.encode())
            # Contiguous whatever the layout it was trained in.
            found.update(tensor.detach().cpu().half().contiguous().numpy().tobytes())
        return found.hexdigest()[:32]

    def encode(self, video: Tensor | npt.NDArray[np.uint8]) -> Encoded:
        """Tokens of videos.

        Args:
            video: A tensor in [-1, 1], shape (B, 3, T, H, W), or an array of uint8, shape
                (T, H, W, 3) or (B, T, H, W, 3). Any size and length: sides are continued to whole
                cells with their last samples, and time to whole steps with the last frame.

        Raises:
            ConfigError: If the shape or type is another.
        """
        codes, digits = self._quantised(_frames_first(video))
        indices = torch.from_numpy(pack_ids(digits.movedim(2, -1).cpu().numpy()).astype(np.int32))
        grid = torch.tensor([indices.shape[1:]] * len(indices), dtype=torch.int64)
        return Encoded(indices, codes.movedim(2, 1), grid.view(-1, 3))

    def decode(self, tokens: Tensor) -> Tensor:
        """A preview of tokens: coarse, and the same for all videos.

        Args:
            tokens: Ids, integers of shape (B, t, h, w), or codes, shape (B, 6, t, h, w).

        Returns:
            Shape (B, 3, 4 t - 3, 32 h, 32 w), in [-1, 1].

        Raises:
            ConfigError: If the shape is another.
        """
        if not tokens.is_floating_point():
            tokens = self.indices_to_codes(tokens)
        if tokens.dim() != 5 or tokens.shape[1] != len(LEVELS):
            raise ConfigError(
                f"expected ids (B, t, h, w) or codes (B, {len(LEVELS)}, t, h, w), got shape "
                f"{tuple(tokens.shape)}"
            )
        codes = tokens.movedim(1, 2).float().to(self._device)
        with torch.inference_mode():
            made: Tensor = self.decoder(codes)
        return made.clamp(-1, 1).movedim(2, 1)

    tokenize, detokenize = encode, decode

    def indices_to_codes(self, indices: Tensor) -> Tensor:
        """Codes of ids: (B, t, h, w) to (B, 6, t, h, w)."""
        codes = codes_of(unpack_ids(indices.cpu().numpy()))
        return torch.from_numpy(codes).movedim(-1, 1)

    def codes_to_indices(self, codes: Tensor) -> Tensor:
        """Ids of codes that stand for one, int32: (B, 6, t, h, w) to (B, t, h, w)."""
        counts = (np.array(LEVELS) - 1).reshape(-1, *[1] * (codes.dim() - 2))
        digits = np.rint((codes.cpu().double().numpy() + 1) / 2 * counts).astype(np.int64)
        return torch.from_numpy(pack_ids(np.moveaxis(digits, 1, -1)).astype(np.int32))

    def digits(self, rgb: Tensor | npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Digits of a segment's frames.

        Args:
            rgb: uint8, shape (T, 3, H, W).

        Returns:
            uint8, shape (t, h, w, 6), with t and (h, w) as `nvcodec.models.tokenizer.layout` has them.
        """
        frames = torch.as_tensor(rgb).to(self._device)
        _, digits = self._quantised(frames[None])
        found: npt.NDArray[np.uint8] = digits[0].movedim(1, -1).to(torch.uint8).cpu().numpy()
        return found

    def _quantised(self, video: Tensor) -> tuple[Tensor, Tensor]:
        """Codes and digits, (B, t, 6, h, w), of frames (B, T, 3, H, W), some steps at a time.

        Frames are in [-1, 1], or uint8: only those at hand are ever floating then.
        """
        frames, _, height, width = video.shape[1:]
        steps = steps_of(frames)
        most = max(1, _PIXELS // (TIME_STRIDE * height * width))
        parts = []
        with torch.inference_mode():
            for first in range(0, steps, most):
                last = min(first + most, steps)
                # The frame before the first step of a part comes along; what the network makes of
                # it alone is not used.
                start = max(0, TIME_STRIDE * (first - 1))
                part = video[:, start : TIME_STRIDE * (last - 1) + 1]
                part = part.to(self._device)
                part = part / 127.5 - 1 if part.dtype == torch.uint8 else part.float()
                vectors = self.encoder(_padded(part))
                parts.append(vectors[:, 1:] if first else vectors)
            return quantise(torch.cat(parts, 1), 2)

    @property
    def _device(self) -> torch.device:
        return self.encoder.out.weight.device

    def _both(self) -> torch.nn.ModuleDict:
        return torch.nn.ModuleDict({"encoder": self.encoder, "decoder": self.decoder})


def _padded(video: Tensor) -> Tensor:
    """Whole steps and cells of (B, T, 3, H, W), continued with what is last."""
    batch, frames, channels, height, width = video.shape
    down, right = -height % SPACE_STRIDE, -width % SPACE_STRIDE
    if down or right:
        flat = F.pad(video.flatten(0, 1), (0, right, 0, down), mode="replicate")
        video = flat.view(batch, frames, channels, height + down, width + right)
    if more := -(frames - 1) % TIME_STRIDE:
        video = torch.cat([video, video[:, -1:].expand(-1, more, -1, -1, -1)], 1)
    return video


def _frames_first(video: Tensor | npt.NDArray[np.uint8]) -> Tensor:
    """(B, T, 3, H, W), in [-1, 1] or uint8."""
    if isinstance(video, Tensor):
        if video.dim() == 5 and video.shape[1] == 3 and video.is_floating_point() and video.numel():
            return video.movedim(1, 2)
    elif video.dtype == np.uint8 and video.ndim in (4, 5) and video.shape[-1] == 3 and video.size:
        batched = video if video.ndim == 5 else video[None]
        return torch.from_numpy(np.ascontiguousarray(batched)).movedim(-1, 2)
    raise ConfigError(
        "expected a float tensor (B, 3, T, H, W) in [-1, 1] or a uint8 array ([B,] T, H, W, 3), got "
        f"{type(video).__name__} of {video.dtype}, shape {tuple(video.shape)}"
    )


def _folder(path: str | Path) -> Path:
    if not str(path).startswith(_PREFIX):
        return Path(path)
    name = str(path).removeprefix(_PREFIX)
    there = sorted(folder.name for folder in BUNDLED.glob("*") if (folder / _WEIGHTS).is_file())
    if name not in there:
        known = ", ".join(_PREFIX + one for one in there) or "none"
        raise ConfigError(f"no tokenizer {path} comes with nvcodec; there is {known}")
    return BUNDLED / name


def _widths_of(config: dict[str, Any]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    expected = {
        "kind": _KIND,
        "version": _VERSION,
        "levels": list(LEVELS),
        "temporal_compression_ratio": TIME_STRIDE,
        "spatial_compression_ratio": SPACE_STRIDE,
    }
    for name, value in expected.items():
        if config[name] != value:
            raise ValueError(f"{name} is {config[name]!r}, this release knows {value!r}")
    widths = tuple(config["encoder_widths"]), tuple(config["decoder_widths"])
    for found, count in zip(widths, (len(_ENCODER), len(_DECODER)), strict=True):
        if len(found) != count or any(
            type(width) is not int or not 1 <= width <= _LARGEST_WIDTH for width in found
        ):
            raise ValueError(f"expected {count} widths up to {_LARGEST_WIDTH}, got {found}")
    return widths
