"""Handing tokens to a language model: in place of placeholders, or of its own vision encoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from nvcodec.errors import ConfigError


def spliced(input_ids: Tensor, words: Tensor, embeds: Sequence[Tensor], placeholder: int) -> Tensor:
    """Embeddings of a prompt, with those of tokens in place of placeholders.

    Works with any model that takes `inputs_embeds`.

    Args:
        input_ids: Shape (B, L).
        words: The model's embedding of them, `model.get_input_embeddings()(input_ids)`, shape
            (B, L, width).
        embeds: Of all videos in the order of their placeholders, each of shape (N, width).
        placeholder: What of `input_ids` is to be replaced.

    Returns:
        Shape (B, L, width), of the type of `words`; differentiable in `embeds` and `words`.

    Raises:
        ConfigError: If there are not as many placeholders as tokens, or widths differ.
    """
    where = input_ids == placeholder
    check_counts(int(where.sum()), embeds)
    if not len(embeds):
        return words
    together = torch.cat(list(embeds)).to(words)
    if together.shape[1] != words.shape[-1]:
        raise ConfigError(
            f"the language model is {words.shape[-1]} wide, the projector {together.shape[1]}; use "
            "a projector that was made for this model"
        )
    return words.masked_scatter(where[..., None], together)


def check_counts(found: int, embeds: Sequence[Any]) -> None:
    """Compare placeholders with tokens.

    Args:
        found: Placeholders in a prompt.
        embeds: Of the videos, or their tokens.

    Raises:
        ConfigError: If they are not as many.
    """
    total = sum(len(one) for one in embeds)
    if found != total:
        counts = " + ".join(str(len(one)) for one in embeds) or "0"
        raise ConfigError(
            f"the prompt has {found} placeholders for {total} tokens of videos ({counts}); let "
            "TokenProcessor expand one placeholder a video, with the same budget, and do not "
            "truncate what it returns"
        )


def mm_encoder_outputs(embeds: Sequence[Tensor], modality: str = "video") -> dict[str, Any]:
    """What transformers takes instead of pixels, for models that have a vision encoder.

    For the argument of that name of `forward` and `generate`, from transformers 5 on; the encoder is
    then not run. The projector has to be as wide as the language model. `generate` with several
    beams changes what it is given, so that the next call needs outputs of its own.

    Args:
        embeds: Of all videos in the order of their placeholders, each of shape (N, width).
        modality: `"video"` or `"image"`, whichever the placeholders are those of.

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
