"""Model inputs from prompts with videos: each placeholder in a text becomes one per token."""

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
_VIDEO_TYPE = 2  # value of video tokens in mm_token_type_ids; text has 0


class TokenProcessor:
    """Makes model inputs from text and videos, as the processors of transformers do.

    Args:
        tokenizer: `PreTrainedTokenizerBase` that has the placeholder as one word.
        projector: Projector that makes vectors of tokens; None for inputs without vectors.
        placeholder: Word that stands for a token, and for a video in a prompt: `<|video_pad|>` in
            Qwen's models, `<video>` in LLaVA's.
        style: Style of the times between tokens, one of `nvcodec.tokens.timestamps.STYLES`.
        budget: Number of tokens per video to reduce to; None for all.
        method: Method of `nvcodec.tokens.reduce`.

    Attributes:
        placeholder_id: Number of the placeholder in the vocabulary.

    Raises:
        ConfigError: If the placeholder is not a word of the tokenizer, or there is no such style.
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
        """Make inputs for a model of transformers that has placeholders for videos.

        Args:
            text: B prompts, each with a placeholder for each of its videos.
            videos: One video, the videos of all prompts in order, or a list of videos per prompt.
            options: Options of the tokenizer.

        Returns:
            A `BatchFeature` with `input_ids`, `attention_mask` and `mm_token_type_ids` (2 for
            tokens of videos), int64, shape (B, L); the tokenizer pads shorter prompts. With a
            projector, it also has `mm_encoder_outputs`. If every video is a whole grid without
            times between tokens, it has `video_grid_thw`, int64, shape (videos, 3), and
            `second_per_grid_ts`, seconds, for rotary positions in time and picture; other tokens
            get the positions of words.

        Raises:
            ConfigError: If the numbers of placeholders and videos differ, the tokenizer changes the
                number of placeholders, or transformers is not installed.
        """
        feature = _batch_feature()
        prompts = [text] if isinstance(text, str) else list(text)
        tokens = self.tokens(prompts, videos)
        encoding = self._encode(prompts, tokens, options)
        is_token = encoding["input_ids"] == self.placeholder_id
        inputs = {
            "input_ids": encoding["input_ids"],
            "attention_mask": encoding["attention_mask"],
            "mm_token_type_ids": is_token.long() * _VIDEO_TYPE,
        }
        if self.projector is not None and tokens:
            embeds = [self.projector.embeds(video) for video in tokens]
            inputs["mm_encoder_outputs"] = mm_encoder_outputs(embeds)
        # The model finds a video as a run of placeholders, so that videos must not be adjacent.
        separate = self.style == "none" and all(
            2 * self.placeholder not in prompt for prompt in prompts
        )
        if tokens and separate and all(video.whole for video in tokens):
            inputs |= _grids(tokens)
        return feature(inputs)

    def inputs_embeds(
        self,
        model: Any,
        text: str | Sequence[str],
        videos: Videos = (),
        **options: Any,
    ) -> Any:
        """Make inputs for any language model of transformers.

        Args:
            model: Language model; its embedding `model.get_input_embeddings()` is used.
            text: B prompts, each with a placeholder for each of its videos.
            videos: One video, the videos of all prompts in order, or a list of videos per prompt.
            options: Options of the tokenizer.

        Returns:
            A `BatchFeature` with `inputs_embeds`, shape (B, L, width), differentiable in the
            projector, and `attention_mask`, int64, shape (B, L).

        Raises:
            ConfigError: If there is no projector, the numbers of placeholders and videos differ,
                the tokenizer changes the number of placeholders, or transformers is not installed.
        """
        if self.projector is None:
            raise ConfigError("vectors for tokens need a projector: TokenProcessor(..., projector)")
        feature = _batch_feature()
        prompts = [text] if isinstance(text, str) else list(text)
        tokens = self.tokens(prompts, videos)
        encoding = self._encode(prompts, tokens, options)
        embedding = model.get_input_embeddings()
        input_ids = encoding["input_ids"].to(embedding.weight.device)
        # The embedding may have no row for the placeholder.
        words = embedding(input_ids.masked_fill(input_ids == self.placeholder_id, 0))
        embeds = [self.projector.embeds(video) for video in tokens]
        vectors = spliced(input_ids, words, embeds, self.placeholder_id)
        mask = encoding["attention_mask"].to(vectors.device)
        return feature({"inputs_embeds": vectors, "attention_mask": mask})

    def tokens(self, prompts: Sequence[str], videos: Videos) -> list[Tokens]:
        """Return the tokens of the videos of all prompts, in order.

        Args:
            prompts: Prompts, each with a placeholder for each of its videos.
            videos: One video, the videos of all prompts in order, or a list of videos per prompt.

        Raises:
            ConfigError: If a prompt has not as many placeholders as videos.
        """
        items = list(videos) if isinstance(videos, (list, tuple)) else [videos]
        groups: list[list[Any]] = [
            list(item) if isinstance(item, (list, tuple)) else [item] for item in items
        ]
        placeholders = [prompt.count(self.placeholder) for prompt in prompts]
        counts = [len(group) for group in groups]
        if not any(isinstance(item, (list, tuple)) for item in items):
            placeholders, counts = [sum(placeholders)], [len(groups)]
        if counts != placeholders:
            raise ConfigError(
                f"expected a {self.placeholder} in the text for every video, got "
                f"{_listed(placeholders)} in the text and {_listed(counts)} videos"
            )
        return [tokens_from(video, self.budget, self.method) for group in groups for video in group]

    def _encode(
        self, prompts: Sequence[str], tokens: Sequence[Tokens], options: dict[str, Any]
    ) -> Any:
        """Expand the placeholders of prompts to one per token, and tokenise the prompts."""
        remaining = iter(tokens)
        expanded = [self._expand(prompt, remaining) for prompt in prompts]
        options = {"padding": len(prompts) > 1, "return_tensors": "pt", **options}
        if options["padding"] and self.tokenizer.pad_token_id is None:
            raise ConfigError(
                "prompts of different lengths need padding and the tokenizer has none: "
                "tokenizer.pad_token = tokenizer.eos_token"
            )
        encoding = self.tokenizer(expanded, **options)
        check_counts(int((encoding["input_ids"] == self.placeholder_id).sum()), tokens)
        return encoding

    def _expand(self, text: str, tokens: Iterator[Tokens]) -> str:
        first, *others = text.split(self.placeholder)
        parts = [first]
        for other in others:
            parts += [next(tokens).prompt(self.style, self.placeholder), other]
        return "".join(parts)


def _listed(counts: Sequence[int]) -> str:
    return " + ".join(map(str, counts)) or "0"


def _grids(tokens: Sequence[Tokens]) -> dict[str, Tensor]:
    """Return sizes and durations of whole grids, for rotary positions of three axes."""
    import torch

    # Rows and columns count patches; these models merge 2x2 patches into a token.
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
