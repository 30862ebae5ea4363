"""Synthetic token grids, and tiny tokenizers and models of transformers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from nvcodec.models.tokenizer.layout import SPACE_STRIDE
from nvcodec.tokenizer.token_ids import LEVELS
from nvcodec.tokens.grid import TokenGrid
from tests.fixtures.torchvision import hide_broken_torchvision

hide_broken_torchvision()

TOKENIZER = "0123456789abcdef" * 2


def scene(
    shape: tuple[int, int, int] = (9, 4, 6), seed: int = 0, cuts: tuple[int, ...] = ()
) -> TokenGrid:
    """Return a grid with a still background, which changes at `cuts`, and a moving spot.

    The spot moves right by a cell per time step. The first time step lasts a frame of 40 ms, the
    others four. Tokens that differ from the time step before take more bits.
    """
    steps, height, width = shape
    chance = np.random.default_rng(seed)
    fsq_indices = np.empty((*shape, 6), np.uint8)
    for begin, end in zip((0, *cuts), (*cuts, steps), strict=True):
        fsq_indices[begin:end] = chance.integers(0, LEVELS, (height, width, 6))
    spot = chance.integers(0, LEVELS)
    for step in range(steps):
        fsq_indices[step, height // 2, step % width] = spot
    changed = np.ones(shape, np.bool_)
    changed[1:] = (fsq_indices[1:] != fsq_indices[:-1]).any(-1)
    ends = 0.04 * (1 + 4 * np.arange(steps))
    return TokenGrid(
        digits=fsq_indices,
        bits=np.where(changed, 14, 2).astype(np.float32) + chance.random(shape).astype(np.float32),
        starts=np.concatenate([[0], ends[:-1]]),
        ends=ends,
        size=(SPACE_STRIDE * width, SPACE_STRIDE * height),
        tokenizer_id=TOKENIZER,
    )


@pytest.fixture
def make_scene() -> Callable[..., TokenGrid]:
    """Return `scene`."""
    return scene


@pytest.fixture
def grid() -> TokenGrid:
    """Return a grid of nine time steps of 4x6 tokens."""
    return scene()


@pytest.fixture
def words():
    """Return a text tokenizer of bytes and a few special words."""
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", eos_token="<eos>"
    )
    tokenizer.add_special_tokens(
        {"additional_special_tokens": ["<|video_pad|>", "<|vision_start|>", "<|vision_end|>"]}
    )
    return tokenizer


@pytest.fixture(scope="session")
def qwen():
    """Return a Qwen2.5-VL of two layers with random weights."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.Qwen2_5_VLConfig(
        text_config={
            "vocab_size": 300,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "bos_token_id": 256,
            "eos_token_id": 257,
            "pad_token_id": 256,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 1e4,
                "mrope_section": [2, 3, 3],
            },
        },
        vision_config={
            "depth": 1,
            "hidden_size": 32,
            "intermediate_size": 32,
            "num_heads": 2,
            "out_hidden_size": 32,
            "fullatt_block_indexes": [0],
        },
        video_token_id=258,
        image_token_id=299,
        vision_start_token_id=259,
        vision_end_token_id=260,
    )
    return transformers.Qwen2_5_VLForConditionalGeneration(config).eval()
