"""Tokens of videos for language models: read from a file or made from pictures, and reduced.

```python
with nvcodec.tokens.open_tokens("clip.nvc") as tokens:
    ids = tokens.grid(start=2.0, end=4.5).indices      # uint16, shape (t, h, w)
    reduced = nvcodec.tokens.reduce(tokens.grid(), "tome", 64)
```
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nvcodec._lazy import lazy_exports

if TYPE_CHECKING:
    from nvcodec.tokenizer.tokenizer import VideoTokenizer
    from nvcodec.tokens.grid import TokenGrid
    from nvcodec.tokens.language_models.processor import TokenProcessor
    from nvcodec.tokens.language_models.projector import (
        FactorisedEmbedding,
        Projector,
        ProjectorConfig,
        padded,
    )
    from nvcodec.tokens.language_models.splicing import mm_encoder_outputs, spliced
    from nvcodec.tokens.language_models.vocabulary import (
        VisualVocabulary,
        picture_ids,
        picture_text,
    )
    from nvcodec.tokens.reader import TokenReader, open_tokens
    from nvcodec.tokens.reduction.methods import METHODS, at_rate, reduce
    from nvcodec.tokens.reduction.pooling import shuffle_merge
    from nvcodec.tokens.reduction.regions import region
    from nvcodec.tokens.sequence import Tokens, flatten

__all__ = [
    "METHODS",
    "FactorisedEmbedding",
    "Projector",
    "ProjectorConfig",
    "TokenGrid",
    "TokenProcessor",
    "TokenReader",
    "Tokens",
    "VideoTokenizer",
    "VisualVocabulary",
    "at_rate",
    "flatten",
    "mm_encoder_outputs",
    "open_tokens",
    "padded",
    "picture_ids",
    "picture_text",
    "reduce",
    "region",
    "shuffle_merge",
    "spliced",
]

# Modules are imported on first use: reading ids does not need torch, other modules do.
_HOMES = {
    "nvcodec.tokens.grid": ("TokenGrid",),
    "nvcodec.tokens.reduction.pooling": ("shuffle_merge",),
    "nvcodec.tokens.language_models.processor": ("TokenProcessor",),
    "nvcodec.tokens.language_models.projector": (
        "FactorisedEmbedding",
        "Projector",
        "ProjectorConfig",
        "padded",
    ),
    "nvcodec.tokens.reader": ("TokenReader", "open_tokens"),
    "nvcodec.tokens.reduction.methods": ("METHODS", "at_rate", "reduce"),
    "nvcodec.tokens.reduction.regions": ("region",),
    "nvcodec.tokens.sequence": ("Tokens", "flatten"),
    "nvcodec.tokens.language_models.splicing": ("mm_encoder_outputs", "spliced"),
    "nvcodec.tokens.language_models.vocabulary": (
        "VisualVocabulary",
        "picture_ids",
        "picture_text",
    ),
    "nvcodec.tokenizer.tokenizer": ("VideoTokenizer",),
}

__getattr__, __dir__ = lazy_exports(__name__, _HOMES)
