"""Prompts with videos: a placeholder each in the text, as many as there are tokens in the input."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nvcodec.errors import ConfigError
from nvcodec.tokens.inputs import Video, tokens_from
from nvcodec.tokens.language_models.splicing import check_counts, mm_encoder_outputs, spliced
from nvcodec.tokens.sequence import Tokens
from nvcodec.tokens.timestamps import stamp_of

if TYPE_CHECKING:
    from torch import Tensor

    from nvcodec.tokens.language_models.projector import Projector

Videos = Video | Sequence[Video | Sequence[Video]]
_VIDEO_TYPE = 2  # of mm_token_type_ids; text is 0


class TokenProcessor:
    """Makes model inputs from text and videos, as the processors of transformers do.

    Args:
        tokenizer: A `PreTrainedTokenizerBase` that has the placeholder as one word.
        projector: Makes vectors of the tokens; None for inputs without.
        placeholder: What stands for a token, and in the text for a video: `<|video_pad|>` in
            Qwen's models, `<video>` in LLaVA's.
        style: How times are written between tokens; see `nvcodec.tokens.timestamps`.
        budget: Tokens of a video at most; None for all.
        method: By which they are reduced; see `nvcodec.tokens.reduce`.

    Attributes:
        placeholder_id: The number of the placeholder.

    Raises:
        ConfigError: If the placeholder is no word of the tokenizer, or there is no such style.
    """

    def __init__(
        self,
        tokenizer: Any,
        projector: Projector | None = None,
        *,
        placeholder: str = "<|video_pad|>",
        style: str = "none",
        budget: int | None = None,
        method: str = "tome",
    ) -> None:
        stamp_of(style)
        number = tokenizer.convert_tokens_to_ids(placeholder)
        if number is None or number == tokenizer.unk_token_id:
            raise ConfigError(
                f"the tokenizer has no word {placeholder!r}; pass the placeholder that it has, or "
                f"add one: tokenizer.add_special_tokens({{'additional_special_tokens': "
                f"[{placeholder!r}]}})"
            )
        self.tokenizer, self.projector = tokenizer, projector
        self.placeholder, self.placeholder_id = placeholder, int(number)
        self.style, self.budget, self.method = style, budget, method

    def __call__(
        self,
        text: str | Sequence[str],
        videos: Videos = (),
        **options: Any,
    ) -> Any:
        """Inputs for a model of transformers that has placeholders for videos.

        Args:
            text: B prompts, each with a placeholder for each of its videos.
            videos: One, those of all prompts in order, or for every prompt a list of its own.
            options: For the tokenizer.

        Returns:
            A `BatchFeature`: `input_ids`, `attention_mask` and `mm_token_type_ids` (2 where a token
            is), int64, shape (B, L), shorter prompts padded on the tokenizer's side. With a
            projector, `mm_encoder_outputs`. For rotary positions in time and picture, where every
            video is a whole grid without times between, `video_grid_thw`, int64, shape (videos, 3),
            and `second_per_grid_ts`, seconds; other tokens have positions as words have.

        Raises:
            ConfigError: If there are not as many placeholders as videos, what the tokenizer made of
                them are not as many as tokens, or transformers is not installed.
        """
        feature = _batch_feature()
        prompts = [text] if isinstance(text, str) else list(text)
        tokens = self.tokens(prompts, videos)
        made = self._encoded(prompts, tokens, options)
        found = made["input_ids"] == self.placeholder_id
        inputs = {
            "input_ids": made["input_ids"],
            "attention_mask": made["attention_mask"],
            "mm_token_type_ids": found.long() * _VIDEO_TYPE,
        }
        if self.projector is not None and tokens:
            embeds = [self.projector.embeds(one) for one in tokens]
            inputs["mm_encoder_outputs"] = mm_encoder_outputs(embeds)
        apart = self.style == "none" and all(2 * self.placeholder not in one for one in prompts)
        if tokens and apart and all(one.whole for one in tokens):
            inputs |= _grids(tokens)
        return feature(inputs)

    def inputs_embeds(
        self,
        model: Any,
        text: str | Sequence[str],
        videos: Videos = (),
        **options: Any,
    ) -> Any:
        """Inputs for any language model of transformers.

        Args:
            model: Its embedding is used, `model.get_input_embeddings()`.
            text: As for a call.
            videos: Likewise.
            options: Likewise.

        Returns:
            A `BatchFeature` of `inputs_embeds`, shape (B, L, width), differentiable in the
            projector, and `attention_mask`, int64, shape (B, L).

        Raises:
            ConfigError: If there is no projector, or as for a call.
        """
        if self.projector is None:
            raise ConfigError("vectors for tokens need a projector: TokenProcessor(..., projector)")
        feature = _batch_feature()
        prompts = [text] if isinstance(text, str) else list(text)
        tokens = self.tokens(prompts, videos)
        made = self._encoded(prompts, tokens, options)
        table = model.get_input_embeddings()
        numbers = made["input_ids"].to(table.weight.device)
        # The placeholder may be a word that the model has no row for.
        known = numbers.masked_fill(numbers == self.placeholder_id, 0)
        embeds = [self.projector.embeds(one) for one in tokens]
        vectors = spliced(numbers, table(known), embeds, self.placeholder_id)
        mask = made["attention_mask"].to(vectors.device)
        return feature({"inputs_embeds": vectors, "attention_mask": mask})

    def tokens(self, prompts: Sequence[str], videos: Videos) -> list[Tokens]:
        """The tokens of the videos of all prompts, one after the other.

        Raises:
            ConfigError: If a prompt has not as many placeholders as videos.
        """
        these = list(videos) if isinstance(videos, (list, tuple)) else [videos]
        groups: list[list[Any]] = [
            list(one) if isinstance(one, (list, tuple)) else [one] for one in these
        ]
        wanted = [one.count(self.placeholder) for one in prompts]
        given = [len(group) for group in groups]
        if not any(isinstance(one, (list, tuple)) for one in these):
            wanted, given = [sum(wanted)], [len(groups)]
        if given != wanted:
            raise ConfigError(
                f"expected a {self.placeholder} in the text for every video, got "
                f"{_listed(wanted)} in the text and {_listed(given)} videos"
            )
        return [tokens_from(one, self.budget, self.method) for group in groups for one in group]

    def _encoded(
        self, prompts: Sequence[str], tokens: Sequence[Tokens], options: dict[str, Any]
    ) -> Any:
        rest = iter(tokens)
        expanded = [self._expanded(one, rest) for one in prompts]
        options = {"padding": len(prompts) > 1, "return_tensors": "pt", **options}
        if options["padding"] and self.tokenizer.pad_token_id is None:
            raise ConfigError(
                "prompts of different lengths need padding and the tokenizer has none: "
                "tokenizer.pad_token = tokenizer.eos_token"
            )
        made = self.tokenizer(expanded, **options)
        check_counts(int((made["input_ids"] == self.placeholder_id).sum()), tokens)
        return made

    def _expanded(self, text: str, tokens: Iterator[Tokens]) -> str:
        first, *others = text.split(self.placeholder)
        parts = [first]
        for other in others:
            parts += [next(tokens).prompt(self.style, self.placeholder), other]
        return "".join(parts)


def _listed(counts: Sequence[int]) -> str:
    return " + ".join(map(str, counts)) or "0"


def _grids(tokens: Sequence[Tokens]) -> dict[str, Tensor]:
    """Where whole grids lie in time and picture, for rotary positions of three axes."""
    import torch

    # Rows and columns count patches, of which such models merge two by two into a token.
    shapes = [(steps, 2 * rows, 2 * columns) for steps, rows, columns in (t.grid for t in tokens)]
    seconds = [float(np.ptp(t.spans)) / t.grid[0] for t in tokens]
    return {
        "video_grid_thw": torch.tensor(shapes, dtype=torch.int64),
        "second_per_grid_ts": torch.tensor(seconds),
    }


def _batch_feature() -> Any:
    try:
        from transformers import BatchFeature
    except ImportError as error:
        raise ConfigError(
            "a TokenProcessor needs transformers, which is not installed: pip install "
            "'nvcodec-suite[llm]'"
        ) from error
    return BatchFeature
