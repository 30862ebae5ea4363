"""The shared tokenizer: one frozen network for all videos, so that their tokens can be compared."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nvcodec.config import DEFAULT_TOKENIZER
from nvcodec.errors import ConfigError
from nvcodec.host.settings import OwnSettings, own_random_numbers, with_own_settings
from nvcodec.models.tokenizer.layout import SPACE_STRIDE, TIME_STRIDE, token_step_count
from nvcodec.models.tokenizer.networks import TokenDecoder, TokenEncoder
from nvcodec.tokenizer.fsq import quantise
from nvcodec.tokenizer.input_frames import frames_first, pad_frames
from nvcodec.tokenizer.pretrained import (
    DEFAULT_WIDTHS,
    VERSION,
    WEIGHTS_FILE,
    Widths,
    find_folder,
    load_files,
    save_files,
)
from nvcodec.tokenizer.token_ids import LEVELS, codes_of, pack_ids, unpack_ids

_PIXELS = 1 << 23  # pixels that the encoder sees at a time, which limits its memory


@dataclass(frozen=True, slots=True)
class EncodedTokens:
    """Tokens of a batch of videos.

    Attributes:
        indices: Token ids, int32, shape (B, t, h, w).
        codes: Code vectors of the ids, float32 in [-1, 1], shape (B, 6, t, h, w).
        grid_thw: Time steps, rows and columns of each video, int64, shape (B, 3).
    """

    indices: Tensor
    codes: Tensor
    grid_thw: Tensor


class VideoTokenizer:
    """A frozen encoder of pictures to tokens, and a decoder of tokens to a preview.

    Args:
        encoder: Network from pictures to vectors.
        decoder: Network from code vectors to pictures.
        widths: Widths of the layers of both networks, as `config.json` stores them.

    Attributes:
        encoder: Network from pictures to vectors.
        decoder: Network from code vectors to pictures.
        levels: Number of FSQ levels of each of the six channels.
        codebook_size: Number of ids.
        temporal_compression_ratio: Frames per time step, after the first step of one frame.
        spatial_compression_ratio: Width and height of a cell, samples.
    """

    levels = LEVELS
    codebook_size = int(np.prod(LEVELS))
    temporal_compression_ratio = TIME_STRIDE
    spatial_compression_ratio = SPACE_STRIDE

    def __init__(
        self,
        encoder: TokenEncoder,
        decoder: TokenDecoder,
        widths: Widths,
    ) -> None:
        self.encoder, self.decoder, self._widths = encoder, decoder, widths

    @classmethod
    def untrained(
        cls,
        encoder: tuple[int, ...] = DEFAULT_WIDTHS[0],
        decoder: tuple[int, ...] = DEFAULT_WIDTHS[1],
    ) -> VideoTokenizer:
        """Make a tokenizer with random weights, for training.

        Args:
            encoder: Widths of the five layers of `TokenEncoder`.
            decoder: Widths of the three layers of `TokenDecoder`.
        """
        channels = len(LEVELS)
        return cls(
            TokenEncoder(channels, encoder), TokenDecoder(channels, decoder), (encoder, decoder)
        )

    @classmethod
    def from_pretrained(
        cls, path: str | Path = DEFAULT_TOKENIZER, *, device: str | torch.device = "cpu"
    ) -> VideoTokenizer:
        """Load a tokenizer from a folder, or one that comes with the package.

        Nothing is downloaded.

        Args:
            path: Folder, or `bundled:` and a name.
            device: Device that runs the networks.

        Raises:
            ConfigError: If there is no such tokenizer, or its files are damaged.
        """
        folder = find_folder(path)
        with OwnSettings():
            widths, weights = load_files(folder)
            with own_random_numbers():  # new networks draw weights, which are replaced at once
                tokenizer = cls.untrained(*widths)
            networks = tokenizer._networks()
            try:
                networks.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
            except RuntimeError as error:
                raise ConfigError(f"{folder / WEIGHTS_FILE}: {error}") from error
            networks.eval().requires_grad_(False).to(device)
        return tokenizer

    def save_pretrained(self, folder: str | Path) -> None:
        """Save the tokenizer to a folder that `from_pretrained` reads.

        Weights are rounded to float16, also those of this object.

        Args:
            folder: Folder to write to; it is created if it does not exist.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        networks = self._networks()
        rounded = {
            name: tensor.detach().cpu().half() for name, tensor in networks.state_dict().items()
        }
        # This object takes the rounded weights, so that its tokens are those of the saved tokenizer.
        networks.load_state_dict({name: tensor.float() for name, tensor in rounded.items()})
        save_files(folder, self._widths, rounded)

    @property
    def tokenizer_id(self) -> str:
        """Identity of the tokenizer: a hash of the encoder and the FSQ levels, 32 hexadecimal digits."""
        # The version stands for the arithmetic around the weights.
        digest = hashlib.sha256(json.dumps([VERSION, LEVELS, TIME_STRIDE, SPACE_STRIDE]).encode())
        for name, tensor in sorted(self.encoder.state_dict().items()):
            digest.update(name.encode())
            # The hash does not depend on the memory layout that training left.
            digest.update(tensor.detach().cpu().half().contiguous().numpy().tobytes())
        return digest.hexdigest()[:32]

    @with_own_settings
    def encode(self, video: Tensor | npt.NDArray[np.uint8]) -> EncodedTokens:
        """Encode videos to tokens.

        Args:
            video: Tensor in [-1, 1], shape (B, 3, T, H, W), or uint8 array, shape (T, H, W, 3) or
                (B, T, H, W, 3), of any size and length. Pictures are padded to whole cells with
                their last samples, and videos to whole time steps with the last frame.

        Raises:
            ConfigError: If the shape or type is different.
        """
        codes, fsq_indices = self._quantise(frames_first(video))
        ids = pack_ids(fsq_indices.movedim(2, -1).cpu().numpy())
        indices = torch.from_numpy(ids.astype(np.int32))
        grid = torch.tensor([indices.shape[1:]] * len(indices), dtype=torch.int64)
        return EncodedTokens(indices, codes.movedim(2, 1), grid.view(-1, 3))

    @with_own_settings
    def decode(self, tokens: Tensor) -> Tensor:
        """Decode tokens to a coarse preview.

        Args:
            tokens: Token ids, integers of shape (B, t, h, w), or code vectors, shape
                (B, 6, t, h, w).

        Returns:
            Pictures in [-1, 1], shape (B, 3, 4 t - 3, 32 h, 32 w).

        Raises:
            ConfigError: If the shape is different.
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
            pictures: Tensor = self.decoder(codes)
        return pictures.clamp(-1, 1).movedim(2, 1)

    tokenize, detokenize = encode, decode

    def indices_to_codes(self, indices: Tensor) -> Tensor:
        """Return the code vectors of ids.

        Args:
            indices: Token ids, integers, shape (B, t, h, w).

        Returns:
            float32 in [-1, 1], shape (B, 6, t, h, w).

        Raises:
            ConfigError: If an id is out of range.
        """
        codes = codes_of(unpack_ids(indices.cpu().numpy()))
        return torch.from_numpy(codes).movedim(-1, 1)

    def codes_to_indices(self, codes: Tensor) -> Tensor:
        """Return the ids of code vectors, the inverse of `indices_to_codes`.

        Args:
            codes: Code vectors of ids, shape (B, 6, t, h, w), of any precision.

        Returns:
            int32, shape (B, t, h, w).

        Raises:
            ConfigError: If a value is out of range.
        """
        largest = (np.array(LEVELS) - 1).reshape(-1, *[1] * (codes.dim() - 2))
        fsq_indices = np.rint((codes.cpu().double().numpy() + 1) / 2 * largest).astype(np.int64)
        return torch.from_numpy(pack_ids(np.moveaxis(fsq_indices, 1, -1)).astype(np.int32))

    @with_own_settings
    def digits(self, rgb: Tensor | npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return the FSQ indices of the tokens of a segment.

        Args:
            rgb: Frames of the segment, uint8, shape (T, 3, H, W).

        Returns:
            uint8, shape (t, h, w, 6): `token_step_count(T)` time steps and `token_grid_size(W, H)` cells, as in
            `nvcodec.models.tokenizer.layout`.
        """
        frames = torch.as_tensor(rgb).to(self._device)
        _, fsq_indices = self._quantise(frames[None])
        array: npt.NDArray[np.uint8] = fsq_indices[0].movedim(1, -1).to(torch.uint8).cpu().numpy()
        return array

    def _quantise(self, video: Tensor) -> tuple[Tensor, Tensor]:
        """Encode and quantise frames, a limited number of time steps at a time.

        Args:
            video: Frames in [-1, 1], or uint8, which are converted to float a part at a time, shape
                (B, T, 3, H, W).

        Returns:
            Code vectors and FSQ indices, shape (B, t, 6, h, w).
        """
        frames, _, height, width = video.shape[1:]
        steps = token_step_count(frames)
        longest = max(1, _PIXELS // (TIME_STRIDE * height * width))
        parts = []
        with torch.inference_mode():
            for first in range(0, steps, longest):
                last = min(first + longest, steps)
                # A part begins with the last frame before its first step, which the encoder needs.
                # The vectors that the encoder makes of this frame alone are dropped.
                start = max(0, TIME_STRIDE * (first - 1))
                part = video[:, start : TIME_STRIDE * (last - 1) + 1]
                part = part.to(self._device)
                part = part / 127.5 - 1 if part.dtype == torch.uint8 else part.float()
                vectors = self.encoder(pad_frames(part))
                parts.append(vectors[:, 1:] if first else vectors)
            return quantise(torch.cat(parts, 1), 2)

    @property
    def _device(self) -> torch.device:
        return self.encoder.out.weight.device

    def _networks(self) -> torch.nn.ModuleDict:
        return torch.nn.ModuleDict({"encoder": self.encoder, "decoder": self.decoder})
