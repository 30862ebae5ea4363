"""From tokens to what a language model reads: vectors of its width and of its embedding's size."""

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
from nvcodec.models.tokenizer.layout import grid_of
from nvcodec.tokenizer.token_ids import LEVELS, unpack_ids
from nvcodec.tokens.atomic_write import whole_file
from nvcodec.tokens.sequence import Tokens

if TYPE_CHECKING:
    from typing_extensions import Self

_CONFIG, _WEIGHTS = "config.json", "model.safetensors"
_KIND = "nvcodec.Projector"
_PLACES = 5  # when, row, column, how many it stands for, how long the video is


class FactorisedEmbedding(nn.Module):
    """An embedding of 64,000 ids as a sum of six small ones: 39 rows instead of 64,000.

    Ids that share digits share rows, so that an id need not have been seen in training.

    Args:
        width: Of the vectors.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.table = nn.Embedding(sum(LEVELS), width)
        nn.init.normal_(self.table.weight, std=len(LEVELS) ** -0.5)
        first = torch.tensor(np.cumsum((0, *LEVELS[:-1])))
        self.register_buffer("_first", first, persistent=False)

    def forward(self, digits: Tensor) -> Tensor:
        """The vectors of tokens, shape (..., width).

        Args:
            digits: Of ids, integers, shape (..., 6).
        """
        rows: Tensor = self.table(digits.long() + cast(Tensor, self._first))
        return rows.sum(-2)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectorConfig:
    """What a projector is made of.

    Attributes:
        width: Of the language model's embedding.
        reads: `"codes"`, the vectors, also of merged tokens; or `"ids"`, each an embedding.
        channels: Of the codes, 6, or more where neighbours are side by side.
        rms: Root mean square of the language model's embedding, which the output is scaled to.
        bands: Frequencies per axis of the position, each twice the one before.
        tokenizer_id: Of the tokens that it was made for; those of others are refused. Empty for any.
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
            ConfigError: If one of them cannot be.
        """
        good = (
            self.width > 0
            and self.reads in ("codes", "ids")
            and self.channels > 0
            and self.channels % len(LEVELS) == 0
            and self.rms > 0
            and self.bands > 0
        )
        if not good:
            raise ConfigError(
                f"expected a positive width, rms and bands, reads of codes or ids and channels in "
                f"sixes, got {self}"
            )


class Projector(nn.Module):
    """Codes or ids with their positions, projected to a language model's width.

    A linear map of the codes, or a factorised embedding of the ids, plus one of sines of the
    position; normalised, and scaled to the size that the language model is used to.

    Args:
        config: What it is made of.
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
        """A new one for a language model.

        Args:
            embedding: The model's, `model.get_input_embeddings().weight`, shape (words, width).
            tokenizer_id: See `ProjectorConfig`.
            reads: Likewise.
        """
        rms = float(embedding.detach().float().square().mean().sqrt())
        return cls(
            ProjectorConfig(
                width=embedding.shape[1], reads=reads, rms=rms, tokenizer_id=tokenizer_id
            )
        )

    def forward(self, codes: Tensor, places: Tensor) -> Tensor:
        """Vectors for tokens, shape (..., width).

        Args:
            codes: Shape (..., channels), or digits of ids, integers, shape (..., 6).
            places: When, which row and which column, each 0 to 1; the logarithms of how many it
                stands for and of the seconds from 0 to 1; shape (..., 5).
        """
        turns = 2.0 ** torch.arange(self.config.bands, device=places.device) * torch.pi
        angles = (places[..., :3, None].float() * turns).flatten(-2)
        waves = torch.cat([angles.sin(), angles.cos(), places.float()], -1)
        vectors = self.codes(codes) + self.places(waves.to(self.places.weight.dtype))
        normal: Tensor = self.norm(vectors)
        return normal

    def embeds(self, tokens: Tokens) -> Tensor:
        """What stands for tokens in the language model, shape (N, width), on the projector's device.

        Raises:
            ConfigError: If it was made for other tokens.
        """
        wanted = self.config.tokenizer_id
        if wanted and tokens.tokenizer_id != wanted:
            raise ConfigError(
                f"the projector was trained on tokens of {wanted}, these are of "
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
        """Write `config.json` and `model.safetensors`.

        Args:
            folder: Made, if it does not exist.
        """
        from safetensors.torch import save

        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        weights = {
            name: value.detach().cpu().contiguous() for name, value in self.state_dict().items()
        }
        about = json.dumps({"kind": _KIND, **asdict(self.config)}, indent=2) + "\n"
        whole_file(target / _WEIGHTS, save(weights), overwrite=True)
        whole_file(target / _CONFIG, about.encode(), overwrite=True)

    @classmethod
    def from_pretrained(cls, folder: str | os.PathLike[str]) -> Self:
        """One that was saved.

        Raises:
            ConfigError: If the folder holds none, or one that is damaged.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load

        source = Path(folder)
        try:
            about = json.loads((source / _CONFIG).read_text())
            if about.pop("kind", None) != _KIND:
                raise ValueError(f"{_CONFIG} is not of a projector; expected {_KIND}")
            made = cls(ProjectorConfig(**about))
            made.load_state_dict(load((source / _WEIGHTS).read_bytes()))
        except (
            OSError,
            AttributeError,
            TypeError,
            ValueError,
            RuntimeError,
            SafetensorError,
        ) as error:
            raise ConfigError(f"{source} holds no projector that can be read: {error}") from error
        return made


def places_of(tokens: Tokens) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Where tokens are, as `Projector.forward` takes it, float32, shape (N, 5).

    Time counts from the first of these tokens to the end of the last, rows and columns from the
    middle of the whole picture's first cell to that of its last.
    """
    rows, columns = grid_of(*tokens.size)
    begin, end = tokens.spans[:, 0].min(initial=np.inf), tokens.spans[:, 1].max(initial=-np.inf)
    seconds = max(end - begin, 1e-3)
    when = (tokens.times - begin) / seconds
    where = tokens.positions[:, 1:] / np.maximum([rows - 1, columns - 1], 1)
    many = np.log(tokens.counts)
    length = np.full(len(tokens), np.log(seconds))
    return np.column_stack([when, where, many, length]).astype(np.float32)


def padded(embeds: list[Tensor], *, left: bool = False) -> tuple[Tensor, Tensor]:
    """Videos of different numbers of tokens as one batch.

    Args:
        embeds: B of them, each of shape (N, width).
        left: Put what is missing before, as decoders that generate need it.

    Returns:
        Shape (B, largest N, width), zeros where nothing is; and an attention mask, int64, 1 where
        something is, shape (B, largest N).

    Raises:
        ConfigError: If there is no video.
    """
    if not embeds:
        raise ConfigError("expected at least one video, got none")
    most = max(len(one) for one in embeds)
    ones = [torch.ones(len(one), dtype=torch.int64, device=one.device) for one in embeds]

    def filled(one: Tensor) -> Tensor:
        gap = (most - len(one), 0) if left else (0, most - len(one))
        return F.pad(one, (0, 0, *gap) if one.ndim == 2 else gap)

    return torch.stack([filled(one) for one in embeds]), torch.stack([filled(one) for one in ones])
