"""Insertion of token vectors into a language model: for placeholders, or its vision encoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from nvcodec.errors import ConfigError


def spliced(input_ids: Tensor, words: Tensor, embeds: Sequence[Tensor], placeholder: int) -> Tensor:
    """Replace the placeholders of a prompt by the vectors of tokens.

    The result suits any model that takes `inputs_embeds`.

    Args:
        input_ids: Numbers of the words of B prompts, shape (B, L).
        words: Embedding of the words, `model.get_input_embeddings()(input_ids)`, shape
            (B, L, width).
        embeds: Vectors of the tokens of each video, in the order of their placeholders, shape
            (N, width) each.
        placeholder: Number of the placeholder in `input_ids`.

    Returns:
        Shape (B, L, width), of the type of `words`; differentiable in `embeds` and `words`.

    Raises:
        ConfigError: If the numbers of placeholders and tokens differ, or widths differ.
    """
    where = input_ids == placeholder
    check_counts(int(where.sum()), embeds)
    if not len(embeds):
        return words
    vectors = torch.cat(list(embeds)).to(words)
    if vectors.shape[1] != words.shape[-1]:
        raise ConfigError(
            f"the language model is {words.shape[-1]} wide, the projector {vectors.shape[1]}; use "
            "a projector that was made for this model"
        )
    return words.masked_scatter(where[..., None], vectors)


def check_counts(found: int, embeds: Sequence[Any]) -> None:
    """Check that there are as many placeholders as tokens.

    Args:
        found: Number of placeholders in the prompts.
        embeds: Tokens of each video, or their vectors.

    Raises:
        ConfigError: If the numbers differ.
    """
    total = sum(len(video) for video in embeds)
    if found != total:
        counts = " + ".join(str(len(video)) for video in embeds) or "0"
        raise ConfigError(
            f"the prompt has {found} placeholders for {total} tokens of videos ({counts}); let "
            "TokenProcessor expand one placeholder per video, with the same budget, and do not "
            "truncate its result"
        )


def mm_encoder_outputs(embeds: Sequence[Tensor], modality: str = "video") -> dict[str, Any]:
    """Return the outputs of a vision encoder, made of token vectors, for transformers.

    They are the value of the argument `mm_encoder_outputs` of `forward` and `generate`, from
    transformers 5 on; the model then does not run its vision encoder. The projector has to be as
    wide as the language model. `generate` with several beams changes the outputs in place, so that
    the next call needs new ones.

    Args:
        embeds: Vectors of the tokens of each video, in the order of their placeholders, shape
            (N, width) each.
        modality: Modality of the placeholders, `"video"` or `"image"`.

    Raises:
        ConfigError: If transformers is not installed, or there is no such modality.
    """
    if modality not in ("video", "image"):
        raise ConfigError(f"expected the modality video or image, got {modality!r}")
    try:
        from transformers.modeling_outputs import BaseModelOutputWithPooling
    except ImportError as error:
        raise ConfigError(
            "outputs of an encoder for transformers need transformers, which is not installed: pip "
            "install 'nvcodec-suite[llm]'"
        ) from error
    return {modality: BaseModelOutputWithPooling(pooler_output=list(embeds))}
