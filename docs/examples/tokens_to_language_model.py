"""From a clip to the tokens in its file, and from there into a language model.

The language model is a tiny one with random weights, so that nothing is downloaded: put
`AutoModelForCausalLM.from_pretrained(...)` and its tokenizer in its place. Only the projector,
which maps tokens to the width of the model, is trained, here on a single question.

    python docs/examples/tokens_to_language_model.py
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from bundled import clip
from tokenizers import Tokenizer, models, pre_tokenizers

import nvcodec
import nvcodec.tokens as nt

PLACEHOLDER = "<|video_pad|>"


def language_model() -> tuple[Any, Any]:
    """A tokenizer of single bytes, and a language model with one layer."""
    words = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(words)}, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="<pad>")
    tokenizer.add_special_tokens({"additional_special_tokens": [PLACEHOLDER]})
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=1,
        num_attention_heads=4, pad_token_id=tokenizer.pad_token_id, initializer_range=0.2,
    )  # fmt: skip
    return tokenizer, transformers.LlamaForCausalLM(config).requires_grad_(False)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("source", nargs="?", type=Path, default=clip(), help="any video")
    parser.add_argument("--out", type=Path, default=Path("out/tokens.nvc"), help="file to write")
    parser.add_argument("--frames", type=int, default=17, help="how many to encode")
    parser.add_argument("--budget", type=int, default=16, help="tokens that the model sees")
    parser.add_argument("--steps", type=int, default=20, help="of training the projector")
    options = parser.parse_args(argv)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)

    config = nvcodec.EncoderConfig(
        latents="both", preset="ultrafast", frames=slice(0, options.frames)
    )
    nvcodec.encode(options.source, options.out, config, overwrite=True, measure=False)

    with nt.open_tokens(options.out) as reader:  # needs no torch and decodes no picture
        grid = reader.grid()
        print(f"{grid.shape} tokens, {reader.bytes_read} of {reader.file_bytes} bytes read")
    print("ids of the first step:", grid.indices[0].ravel().tolist())
    few = nt.reduce(grid, "tome", options.budget)
    print(f"{len(few.ids)} tokens stand for {int(few.counts.sum())}")

    tokenizer, model = language_model()
    table = model.get_input_embeddings().weight
    projector = nt.Projector.for_embedding(table, tokenizer_id=grid.tokenizer_id)
    processor = nt.TokenProcessor(tokenizer, projector)
    prompt, answer = f"{PLACEHOLDER} Is this a car?", tokenizer.encode("Y")[0]
    optimiser = torch.optim.Adam(projector.parameters(), 1e-2)
    for step in range(options.steps):
        inputs = processor.inputs_embeds(model, prompt, [few])
        logits = model(**inputs).logits[0, -1]
        loss = torch.nn.functional.cross_entropy(logits, torch.tensor(answer))
        if step in (0, options.steps - 1):
            print(f"step {step}: loss {loss.item():.3f}")
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    said = model.generate(
        **processor.inputs_embeds(model, prompt, [few]), max_new_tokens=1, do_sample=False
    )
    print(f"the model says {tokenizer.decode(said[0])!r}")


if __name__ == "__main__":
    main()
