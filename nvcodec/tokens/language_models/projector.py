"""Projector from tokens to vectors of the width and magnitude of a language model's embedding."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nvcodec.errors import ConfigError
from nvcodec.models.tokenizer.layout import token_grid_size
from nvcodec.tokenizer.token_ids import LEVELS, unpack_ids
from nvcodec.tokens.atomic_write import write_atomically
from nvcodec.tokens.sequence import Tokens

if TYPE_CHECKING:
    from typing_extensions import Self

_CONFIG, _WEIGHTS = "config.json", "model.safetensors"
_KIND = "nvcodec.Projector"
_PLACES = 5  # time, row, column, number of tokens represented, duration


class FactorisedEmbedding(nn.Module):
    """Embedding of 64,000 ids as a sum of six small embeddings: 39 rows instead of 64,000.

    Ids that share FSQ indices share rows, so that ids that training has not seen have vectors, too.

    Args:
        width: Width of the vectors.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.table = nn.Embedding(sum(LEVELS), width)
        nn.init.normal_(self.table.weight, std=len(LEVELS) ** -0.5)
        first = torch.tensor(np.cumsum((0, *LEVELS[:-1])))
        self.register_buffer("_first", first, persistent=False)

    def forward(self, digits: Tensor) -> Tensor:
        """Return the vectors of tokens, shape (..., width).

        Args:
            digits: FSQ indices of the tokens, integers, shape (..., 6).
        """
        rows: Tensor = self.table(digits.long() + cast(Tensor, self._first))
        return rows.sum(-2)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectorConfig:
    """Configuration of a projector.

    Attributes:
        width: Width of the language model's embedding.
        reads: Input of the projector: `"codes"` for code vectors, also of merged tokens, or `"ids"`
            for an embedding of the token ids.
        channels: Channels of the code vectors: 6, or a multiple for concatenated neighbours.
        rms: Root mean square of the language model's embedding; the output is scaled to it.
        bands: Number of frequencies per axis of the position; each is twice the one before.
        tokenizer_id: Identity of the tokenizer whose tokens are accepted; empty for any.
    """

    width: int
    reads: str = "codes"
    channels: int = len(LEVELS)
    rms: float = 1.0
    bands: int = 6
    tokenizer_id: str = ""

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ConfigError: If a value is out of range.
        """
        valid = (
            self.width > 0
            and self.reads in ("codes", "ids")
            and self.channels > 0
            and self.channels % len(LEVELS) == 0
            and self.rms > 0
            and self.bands > 0
        )
        if not valid:
            raise ConfigError(
                f"expected a positive width, rms and bands, reads of codes or ids and channels in "
                f"sixes, got {self}"
            )


class Projector(nn.Module):
    """Projects codes or ids of tokens, with their positions, to the width of a language model.

    The output is a linear map of the codes or a factorised embedding of the ids, plus a linear map
    of sines of the position. It is normalised and scaled to the magnitude of the language model's
    embedding.

    Args:
        config: Configuration of the projector.
    """

    def __init__(self, config: ProjectorConfig) -> None:
        super().__init__()
        self.config = config
        self.codes: nn.Module = (
            FactorisedEmbedding(config.width)
            if config.reads == "ids"
            else nn.Linear(config.channels, config.width)
        )
        self.places = nn.Linear(6 * config.bands + _PLACES, config.width, bias=False)
        self.norm = nn.LayerNorm(config.width)
        nn.init.constant_(self.norm.weight, config.rms)

    @classmethod
    def for_embedding(
        cls, embedding: Tensor, *, tokenizer_id: str = "", reads: str = "codes"
    ) -> Self:
        """Make an untrained projector for a language model.

        Args:
            embedding: Embedding of the language model, `model.get_input_embeddings().weight`, shape
                (words, width).
            tokenizer_id: Identity of the tokenizer whose tokens are accepted; empty for any.
            reads: Input of the projector, `"codes"` or `"ids"`.
        """
        rms = float(embedding.detach().float().square().mean().sqrt())
        return cls(
            ProjectorConfig(
                width=embedding.shape[1], reads=reads, rms=rms, tokenizer_id=tokenizer_id
            )
        )

    def forward(self, codes: Tensor, places: Tensor) -> Tensor:
        """Return the vectors of tokens, shape (..., width).

        Args:
            codes: Code vectors, shape (..., channels); or FSQ indices, integers, shape (..., 6), if
                the projector reads ids.
            places: Time, row and column, each 0 to 1, and the logarithms of the number of tokens
                represented and of the duration of time 0 to 1 in seconds, shape (..., 5).
        """
        turns = 2.0 ** torch.arange(self.config.bands, device=places.device) * torch.pi
        angles = (places[..., :3, None].float() * turns).flatten(-2)
        waves = torch.cat([angles.sin(), angles.cos(), places.float()], -1)
        vectors = self.codes(codes) + self.places(waves.to(self.places.weight.dtype))
        normal: Tensor = self.norm(vectors)
        return normal

    def embeds(self, tokens: Tokens) -> Tensor:
        """Return the vectors of tokens in the language model, on the projector's device.

        Args:
            tokens: N tokens.

        Returns:
            Shape (N, width), differentiable in the weights.

        Raises:
            ConfigError: If the projector was made for other tokens.
        """
        expected = self.config.tokenizer_id
        if expected and tokens.tokenizer_id != expected:
            raise ConfigError(
                f"the projector was trained on tokens of {expected}, these are of "
                f"{tokens.tokenizer_id}; load the projector that belongs to them, or make tokens "
                "with the tokenizer of this one"
            )
        if self.config.reads == "codes" and tokens.codes.shape[1] != self.config.channels:
            raise ConfigError(
                f"the projector reads codes of {self.config.channels} channels, these have "
                f"{tokens.codes.shape[1]}"
            )
        weight = self.norm.weight
        if self.config.reads == "ids":
            codes = torch.from_numpy(unpack_ids(tokens.ids)).to(weight.device)
        else:
            codes = torch.from_numpy(tokens.codes).to(weight)
        embeds: Tensor = self(codes, torch.from_numpy(places_of(tokens)).to(weight.device))
        return embeds

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Save the projector as `config.json` and `model.safetensors`.

        Args:
            folder: Folder to write to; it is created if it does not exist.
        """
        from safetensors.torch import save

        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        weights = {
            name: value.detach().cpu().contiguous() for name, value in self.state_dict().items()
        }
        config = json.dumps({"kind": _KIND, **asdict(self.config)}, indent=2) + "\n"
        write_atomically(target / _WEIGHTS, save(weights), overwrite=True)
        write_atomically(target / _CONFIG, config.encode(), overwrite=True)

    @classmethod
    def from_pretrained(cls, folder: str | os.PathLike[str]) -> Self:
        """Load a projector.

        Args:
            folder: Folder that `save_pretrained` wrote.

        Raises:
            ConfigError: If the folder holds no projector, or its files are damaged.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load

        source = Path(folder)
        try:
            config = json.loads((source / _CONFIG).read_text())
            if config.pop("kind", None) != _KIND:
                raise ValueError(f"{_CONFIG} is not of a projector; expected {_KIND}")
            projector = cls(ProjectorConfig(**config))
            projector.load_state_dict(load((source / _WEIGHTS).read_bytes()))
        except (
            OSError,
            AttributeError,
            TypeError,
            ValueError,
            RuntimeError,
            SafetensorError,
        ) as error:
            raise ConfigError(f"{source} holds no projector that can be read: {error}") from error
        return projector


def places_of(tokens: Tokens) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Return the position features of tokens that `Projector.forward` takes.

    Time runs from the start of the first token to the end of the last. Rows and columns run from
    the middle of the first cell of the whole picture to the middle of the last.

    Args:
        tokens: N tokens.

    Returns:
        float32, shape (N, 5).
    """
    rows, columns = token_grid_size(*tokens.size)
    begin, end = tokens.spans[:, 0].min(initial=np.inf), tokens.spans[:, 1].max(initial=-np.inf)
    seconds = max(end - begin, 1e-3)
    when = (tokens.times - begin) / seconds
    where = tokens.positions[:, 1:] / np.maximum([rows - 1, columns - 1], 1)
    represented = np.log(tokens.counts)
    duration = np.full(len(tokens), np.log(seconds))
    return np.column_stack([when, where, represented, duration]).astype(np.float32)


def padded(embeds: list[Tensor], *, left: bool = False) -> tuple[Tensor, Tensor]:
    """Pad videos of different numbers of tokens to one batch.

    Args:
        embeds: Vectors of the tokens of B videos, each of shape (N, width).
        left: Pad on the left, as language models need it to generate text.

    Returns:
        Vectors, shape (B, largest N, width), with zeros for padding; and an attention mask, int64,
        shape (B, largest N), 1 for tokens and 0 for padding.

    Raises:
        ConfigError: If there is no video.
    """
    if not embeds:
        raise ConfigError("expected at least one video, got none")
    longest = max(len(video) for video in embeds)
    masks = [torch.ones(len(video), dtype=torch.int64, device=video.device) for video in embeds]

    def pad(values: Tensor) -> Tensor:
        gap = (longest - len(values), 0) if left else (0, longest - len(values))
        return F.pad(values, (0, 0, *gap) if values.ndim == 2 else gap)

    return torch.stack([pad(video) for video in embeds]), torch.stack([pad(mask) for mask in masks])
