"""Tokens as inputs of language models: tiny models with random weights."""

from __future__ import annotations

import json
import sys
import warnings

import numpy as np
import pytest
import torch

from nvcodec.errors import ConfigError
from nvcodec.tokenizer.token_ids import unpack_ids
from nvcodec.tokens import reduce
from nvcodec.tokens.language_models.processor import TokenProcessor
from nvcodec.tokens.language_models.projector import (
    FactorisedEmbedding,
    Projector,
    ProjectorConfig,
    padded,
    places_of,
)
from nvcodec.tokens.language_models.splicing import mm_encoder_outputs, spliced
from nvcodec.tokens.language_models.vocabulary import VisualVocabulary, picture_ids, picture_text
from nvcodec.tokens.sequence import flatten

transformers = pytest.importorskip("transformers")
PAD, START, END = "<|video_pad|>", "<|vision_start|>", "<|vision_end|>"
WIDTH = 32


@pytest.fixture
def projector(grid) -> Projector:
    """Return an untrained projector to `WIDTH` channels."""
    torch.manual_seed(0)
    table = torch.randn(100, WIDTH) * 0.02
    return Projector.for_embedding(table, tokenizer_id=grid.tokenizer_id)


def test_a_factorised_embedding_has_39_rows():
    embedding = FactorisedEmbedding(8)
    assert sum(value.numel() for value in embedding.parameters()) == 39 * 8
    fsq_indices = torch.from_numpy(unpack_ids(np.array([[0, 63999], [7, 8]])))
    vectors = embedding(fsq_indices)
    assert vectors.shape == (2, 2, 8)
    first = embedding.table.weight[[0, 8, 16, 24, 29, 34]].sum(0)
    torch.testing.assert_close(vectors[0, 0], first)
    last = embedding.table.weight[[7, 15, 23, 28, 33, 38]].sum(0)
    torch.testing.assert_close(vectors[0, 1], last)


@pytest.mark.parametrize("reads", ["codes", "ids"])
def test_projectors_have_the_magnitude_of_the_embedding_and_round_trip(grid, tmp_path, reads):
    torch.manual_seed(0)
    table = torch.randn(50, WIDTH) * 0.03
    projector = Projector.for_embedding(table, tokenizer_id=grid.tokenizer_id, reads=reads)
    tokens = reduce(grid, "tome", 20)
    embeds = tokens.to_embeds(projector)
    assert embeds.shape == (20, WIDTH)
    rms = table.square().mean().sqrt()
    torch.testing.assert_close(embeds.square().mean(-1).sqrt(), rms.expand(20), rtol=0.01, atol=0)
    projector.save_pretrained(tmp_path / "p")
    assert {path.name for path in (tmp_path / "p").iterdir()} == {
        "config.json",
        "model.safetensors",
    }
    back = Projector.from_pretrained(tmp_path / "p")
    assert back.config == projector.config
    torch.testing.assert_close(tokens.to_embeds(back), embeds, rtol=0, atol=0)


def test_position_features(grid):
    tokens = flatten(grid)
    places = places_of(tokens)
    assert places.shape == (216, 5) and places[:, :3].min() == 0 and places[:, 1:3].max() == 1
    assert places[:, 4] == pytest.approx(np.log(33 * 0.04))
    assert (places[:, 3] == 0).all() and (np.diff(places[:, 0]) >= 0).all()
    assert places_of(reduce(grid, "pool_s", 9))[:, 3] == pytest.approx(np.log(24))


def test_projectors_that_do_not_fit(grid, projector, tmp_path):
    other = Projector(ProjectorConfig(width=8, tokenizer_id="f" * 32))
    with pytest.raises(
        ConfigError, match=f"tokens of {'f' * 32}, these are of {'0123456789abcdef'}"
    ):
        flatten(grid).to_embeds(other)
    from nvcodec.tokens import shuffle_merge

    with pytest.raises(ConfigError, match="6 channels, these have 12"):
        shuffle_merge(grid, 2).to_embeds(projector)
    wide = Projector(ProjectorConfig(width=8, channels=12))
    assert shuffle_merge(grid, 2).to_embeds(wide).shape == (120, 8)
    with pytest.raises(ConfigError, match="no projector that can be read"):
        Projector.from_pretrained(tmp_path)
    projector.save_pretrained(tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-9])
    with pytest.raises(ConfigError, match="no projector that can be read"):
        Projector.from_pretrained(tmp_path)
    for text, message in [
        ("{", "can be read: Expecting"),
        (b"\xff", "can be read: .utf-8"),
        (json.dumps({"kind": "x"}), "not of a projector"),
    ]:
        data = text if isinstance(text, bytes) else text.encode()
        (tmp_path / "config.json").write_bytes(data)
        with pytest.raises(ConfigError, match=message):
            Projector.from_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="reads of codes or ids"):
        ProjectorConfig(width=8, reads="minds")


def test_ragged_videos_in_a_batch():
    short, long = torch.ones(2, 3), torch.full((4, 3), 2.0)
    batch, mask = padded([short, long])
    assert batch.shape == (2, 4, 3) and mask.tolist() == [[1, 1, 0, 0], [1, 1, 1, 1]]
    assert batch[0].sum() == 6
    _, mask = padded([short, long], left=True)
    assert mask.tolist() == [[0, 0, 1, 1], [1, 1, 1, 1]]
    with pytest.raises(ConfigError, match="at least one video"):
        padded([])


def test_splicing():
    numbers = torch.tensor([[1, 9, 9, 2], [9, 3, 4, 5]])
    table = torch.zeros(2, 4, 3)
    embeds = torch.tensor([[1.0] * 3, [2.0] * 3], requires_grad=True)
    vectors = spliced(numbers, table, [embeds, torch.full((1, 3), 3.0)], 9)
    assert vectors[..., 0].tolist() == [[0, 1, 2, 0], [3, 0, 0, 0]]
    vectors.sum().backward()
    assert embeds.grad is not None and (embeds.grad == 1).all()
    with pytest.raises(ConfigError, match=r"3 placeholders for 2 tokens of videos \(2\)"):
        spliced(numbers, table, [embeds], 9)
    with pytest.raises(ConfigError, match="3 wide, the projector 5"):
        spliced(numbers, table, [torch.zeros(3, 5)], 9)


def test_a_prompt_gets_as_many_placeholders_as_tokens(words, grid, make_scene):
    processor = TokenProcessor(words, budget=30)
    few = make_scene((2, 2, 3))
    inputs = processor(
        [f"{START}{PAD}{END} what?", f"{START}{PAD}{END} and {START}{PAD}{END}"],
        [[grid], [few, reduce(grid, "pool_t", 24)]],
    )
    assert (inputs["input_ids"] == processor.placeholder_id).sum(1).tolist() == [30, 12 + 24]
    assert (inputs["mm_token_type_ids"] == 2).sum(1).tolist() == [30, 36]
    assert inputs["attention_mask"].sum(1).tolist() == [
        (row != words.pad_token_id).sum() for row in inputs["input_ids"]
    ]
    assert "video_grid_thw" not in inputs
    assert len(processor.tokens([PAD], few)) == len(processor.tokens([PAD], [few])) == 1
    whole = TokenProcessor(words)([f"{START}{PAD}{END}"] * 2, [grid, few])
    assert whole["video_grid_thw"].tolist() == [[9, 8, 12], [2, 4, 6]]
    assert whole["second_per_grid_ts"].tolist() == pytest.approx([0.04 * 33 / 9, 0.1])
    stamped = TokenProcessor(words, style="qwen3", budget=9, method="pool_s")
    text = words.decode(stamped(f"{PAD} ?", [grid])["input_ids"][0])
    assert text.startswith(f"<0.0 seconds>{PAD}<0.1 seconds>{PAD}") and text.count(PAD) == 9


def test_prompts_that_do_not_fit(words, grid):
    processor = TokenProcessor(words)
    with pytest.raises(ConfigError, match="got 2 in the text and 1 videos"):
        processor(f"{PAD} {PAD}", [grid])
    with pytest.raises(ConfigError, match=r"got 1 \+ 0 in the text and 0 \+ 1 videos"):
        processor([PAD, "none"], [[], [grid]])
    with pytest.raises(ConfigError, match=r"has 10 placeholders for 216 tokens.*not truncate"):
        processor(PAD, [grid], truncation=True, max_length=10)
    with pytest.raises(ConfigError, match=r"no word '<video>'.*add_special_tokens"):
        TokenProcessor(words, placeholder="<video>")
    with pytest.raises(ConfigError, match="styles lita, none"):
        TokenProcessor(words, style="roman")
    with pytest.raises(ConfigError, match="need a projector"):
        processor.inputs_embeds(None, PAD, [grid])
    with pytest.raises(ConfigError, match="expected tokens, a grid"):
        processor(PAD, [3])
    words.pad_token = None
    with pytest.raises(ConfigError, match=r"tokenizer\.pad_token ="):
        processor([PAD, PAD], [grid, grid])


def test_qwen_reads_tokens_instead_of_pixels(qwen, words, projector, grid, make_scene):
    words.padding_side = "left"
    few = make_scene((2, 2, 3))
    processor = TokenProcessor(words, projector)
    inputs = processor([f"{START}{PAD}{END} what?", f"{START}{PAD}{END}"], [few, grid])
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        out = qwen(**inputs)
        assert out.logits.shape == (2, 218, 300)
        # Other tokens change the output of their prompt only.
        reversed_inputs = processor([f"{START}{PAD}{END} what?", f"{START}{PAD}{END}"],
                      [few, grid.at(np.arange(9)[::-1])])  # fmt: skip
        other = qwen(**reversed_inputs).logits
        torch.testing.assert_close(out.logits[0], other[0], rtol=0, atol=1e-5)
        assert (out.logits[1, -1] - other[1, -1]).abs().max() > 1e-5
        # The model gives the same result if the vectors are spliced in beforehand.
        spliced_in = qwen.get_input_embeddings()(inputs["input_ids"])
        spliced_in = spliced(
            inputs["input_ids"],
            spliced_in,
            inputs["mm_encoder_outputs"]["video"].pooler_output,
            258,
        )
        positions, _ = qwen.model.get_rope_index(
            inputs["input_ids"],
            mm_token_type_ids=inputs["mm_token_type_ids"],
            video_grid_thw=inputs["video_grid_thw"],
            second_per_grid_ts=inputs["second_per_grid_ts"],
            attention_mask=inputs["attention_mask"],
        )
        same = qwen(
            inputs_embeds=spliced_in,
            attention_mask=inputs["attention_mask"],
            position_ids=positions,
        )
        torch.testing.assert_close(out.logits[:, -1], same.logits[:, -1], rtol=0, atol=1e-5)
        # Two beams come last, because transformers then changes the encoder outputs in place.
        for beams in (1, 2):
            generated = qwen.generate(**inputs, max_new_tokens=3, do_sample=False, num_beams=beams)
            assert generated.shape == (2, 221)
            if beams == 1:
                assert generated[:, 218].tolist() == out.logits[:, -1].argmax(-1).tolist()
    reduced = TokenProcessor(words, projector, budget=7, method="keydelta", style="lita")
    with torch.no_grad():
        generated = qwen.generate(
            **reduced(f"{PAD} what?", [grid]), max_new_tokens=2, do_sample=False
        )
    assert generated.shape[0] == 1


def test_any_language_model_reads_embeddings(words, projector, grid):
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=258, hidden_size=WIDTH, intermediate_size=48, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=1, pad_token_id=256, eos_token_id=257,
        bos_token_id=256,
    )  # fmt: skip
    model = transformers.LlamaForCausalLM(config)
    processor = TokenProcessor(words, projector, budget=16)
    # The embedding of this model has no row for the placeholder, 258.
    inputs = processor.inputs_embeds(model, [f"{PAD} up or down?", f"{PAD}?"], [grid, grid])
    assert inputs["inputs_embeds"].shape == (2, 28, WIDTH)
    loss = model(**inputs).logits[:, -1].logsumexp(-1).sum()
    loss.backward()
    assert projector.codes.weight.grad is not None
    assert projector.codes.weight.grad.abs().sum() > 0
    generated = model.generate(**inputs, max_new_tokens=2, do_sample=False)
    assert generated.shape == (2, 2)


def test_outputs_of_an_encoder():
    outputs = mm_encoder_outputs([torch.zeros(2, 3), torch.zeros(4, 3)], "image")
    assert [len(vectors) for vectors in outputs["image"].pooler_output] == [2, 4]
    with pytest.raises(ConfigError, match="video or image"):
        mm_encoder_outputs([], "sound")


def test_without_transformers(monkeypatch, words, grid):
    processor = TokenProcessor(words)
    monkeypatch.setitem(sys.modules, "transformers", None)
    monkeypatch.setitem(sys.modules, "transformers.modeling_outputs", None)
    for use in (lambda: processor(PAD, [grid]), lambda: mm_encoder_outputs([])):
        with pytest.raises(ConfigError, match=r"pip install 'nvcodec-suite\[llm\]'"):
            use()


def test_a_vocabulary_of_tokens(words, make_scene):
    ids = make_scene((2, 3, 4)).indices
    vocabulary = VisualVocabulary.added_to(words)
    numbers = np.array(words(picture_text(ids))["input_ids"])
    visual = (numbers >= vocabulary.first) & (numbers < vocabulary.first + 64000)
    assert len(numbers) == 24 + len("2*3*4") + 3 + 2 * 3 + 2
    np.testing.assert_array_equal(numbers[visual], vocabulary.encode(ids).reshape(-1))
    np.testing.assert_array_equal(vocabulary.decode(numbers[visual]), ids.reshape(-1))
    np.testing.assert_array_equal(picture_ids(words.decode(numbers)), ids)
    size = len(words)
    assert VisualVocabulary.added_to(words).first == vocabulary.first and len(words) == size
    with pytest.raises(ConfigError, match="which are tokens of"):
        vocabulary.decode(numbers)


def test_a_vocabulary_that_has_some_already(words):
    words.add_tokens(["<|visual token 000005|>", "and more"])
    with pytest.raises(ConfigError, match="some of them elsewhere"):
        VisualVocabulary.added_to(words)
