"""The examples of docs/tokens.md run one after the other, and it lists all methods and styles."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import torch

from nvcodec.tokens.reduction.methods import METHODS
from nvcodec.tokens.timestamps import STYLES

transformers = pytest.importorskip("transformers")
ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "tokens.md").read_text()


def test_examples(tmp_path, monkeypatch, words, qwen, capsys):
    stored = ROOT / "tests" / "golden" / "v1" / "nerv-tokens-yuv420" / "stream.nvc"
    shutil.copy(stored, tmp_path / "clip.nvc")
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    llama = transformers.LlamaConfig(
        vocab_size=300, hidden_size=32, intermediate_size=48, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=1, pad_token_id=256, eos_token_id=257,
        bos_token_id=256,
    )  # fmt: skip
    model = transformers.LlamaForCausalLM(llama)
    names = {"model": model, "tokenizer": words, "vision_tokenizer": words, "vision_model": qwen}
    blocks = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
    assert len(blocks) == 4
    for block in blocks:
        exec(compile(block, "docs/tokens.md", "exec"), names)  # noqa: S102
    assert len(names["tokens"]) == 24
    assert (names["ids"] == names["grid"].indices[0]).all()
    assert capsys.readouterr().out


def test_all_names_are_in_the_document():
    for name in [*METHODS, *STYLES]:
        assert f"`{name}`" in DOCUMENT, name
