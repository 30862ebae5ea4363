"""The context network: integers in float32, exact in any order, equal to the document."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nvcodec.entropy.latents.context_network import (
    HIDDEN,
    INPUTS,
    LOGARITHMS,
    WEIGHT_LIMIT,
    ContextNetwork,
    flatten_weights,
    unflatten_weights,
)
from nvcodec.entropy.latents.default_networks import default_network
from nvcodec.entropy.latents.default_weights import SCALES
from nvcodec.models.latentgrid.subbands import PlaneKind, SubbandLayout

ROOT = Path(__file__).parents[2]
CHANNELS = {PlaneKind.LUMA: 1, PlaneKind.CHROMA: 2}


def network(seed: int, bands: int = 4, channels: int = 2) -> ContextNetwork:
    rng = np.random.default_rng(seed)
    count = INPUTS * HIDDEN + INPUTS + HIDDEN + bands * channels
    numbers = rng.integers(-WEIGHT_LIMIT, WEIGHT_LIMIT + 1, count).astype(np.int32)
    return unflatten_weights(numbers, bands, channels)


def plain_scale(tested: ContextNetwork, inputs: list[int], bias: int) -> int:
    """Return the scale index by section 20 of the document, in Python's integers."""
    total = 16 * bias
    for j in range(HIDDEN):
        h = sum(int(tested.hidden[i, j]) * inputs[i] for i in range(INPUTS)) // 32
        total += int(tested.output[j]) * min(255, max(0, h))
    total += sum(int(tested.linear[i]) * inputs[i] for i in range(INPUTS))
    return min(63, max(0, total // 128))


@pytest.mark.parametrize("seed", range(4))
def test_scales_are_those_of_integer_arithmetic(seed):
    tested, rng = network(seed), np.random.default_rng(seed)
    inputs = rng.choice(LOGARITHMS, (200, INPUTS)).astype(np.float32)
    inputs *= rng.random((200, 1)) < 0.8
    biases = rng.integers(-WEIGHT_LIMIT, WEIGHT_LIMIT + 1, 200).astype(np.int8)
    scales = tested.scales(inputs, biases).tolist()
    rows = zip(inputs.astype(int).tolist(), biases.tolist(), strict=True)
    assert scales == [plain_scale(tested, row, bias) for row, bias in rows]
    assert len(set(scales)) > 2


def test_the_default_networks_use_many_scales():
    # A test of the arithmetic alone would pass with networks that always return 0 or 63.
    rng = np.random.default_rng(0)
    inputs = rng.choice(LOGARITHMS[:6], (500, INPUTS)).astype(np.float32)
    inputs[:, 12] = 64
    for kind, channels in CHANNELS.items():
        tested = default_network(kind, SubbandLayout((64, 64), 3, channels))
        assert len(set(tested.scales(inputs, np.zeros(500, np.int8)).tolist())) > 10


def test_sums_of_the_largest_numbers_are_exact_in_any_order():
    largest = np.full(INPUTS * HIDDEN + INPUTS + HIDDEN + 1, WEIGHT_LIMIT, np.int32)
    rng = np.random.default_rng(1)
    for sign in (1, -1):
        tested = unflatten_weights(largest * sign, 1, 1)
        inputs = np.full((1, INPUTS), 160, np.float32)
        first = inputs @ np.concatenate([tested.hidden, tested.linear[:, None]], 1).astype(
            np.float32
        )
        assert (first == sign * INPUTS * 160 * WEIGHT_LIMIT).all()
        assert tested.scales(inputs, np.array([sign * WEIGHT_LIMIT], np.int8)) == [63 * (sign > 0)]
    for _ in range(20):
        tested, order = network(7), rng.permutation(INPUTS)
        inputs = rng.choice(LOGARITHMS, (50, INPUTS)).astype(np.float32)
        total = np.zeros((50, HIDDEN), np.float32)
        for i in order:
            total += inputs[:, i : i + 1] * tested.hidden[i].astype(np.float32)
        assert (total == inputs @ tested.hidden.astype(np.float32)).all()


def test_how_many_symbols_are_asked_for_at_once_makes_no_difference():
    tested, rng = network(3), np.random.default_rng(3)
    inputs = rng.choice(LOGARITHMS, (301, INPUTS)).astype(np.float32)
    biases = rng.integers(-9, 10, 301).astype(np.int8)
    alone = [int(tested.scales(inputs[i : i + 1], biases[i : i + 1])[0]) for i in range(301)]
    assert tested.scales(inputs, biases).tolist() == alone
    assert tested.scales(inputs[:0], biases[:0]).shape == (0,)


def test_logarithms():
    assert LOGARITHMS[:4].tolist() == [0, 16, 24, 32]
    assert (LOGARITHMS[-1], len(LOGARITHMS)) == (144, 512)
    exact = 16 * np.log2(1 + np.arange(512))
    assert np.abs(LOGARITHMS - exact).max() < 2.5
    assert (np.diff(LOGARITHMS) >= 0).all()


def test_numbers_and_back():
    tested = network(5, bands=7, channels=5)
    again = unflatten_weights(flatten_weights(tested), 7, 5)
    for name in ("hidden", "linear", "output", "biases"):
        assert (getattr(tested, name) == getattr(again, name)).all()
    beyond = unflatten_weights(flatten_weights(tested) + 300, 7, 5)
    assert (flatten_weights(beyond) == WEIGHT_LIMIT).all()


@pytest.mark.parametrize("kind", list(PlaneKind))
def test_biases_of_other_numbers_of_scales(kind):
    listed = SCALES[kind.name]

    def biases(scales):
        return default_network(kind, SubbandLayout((4096, 4096), scales, CHANNELS[kind])).biases

    whole = biases(listed)
    assert (biases(listed - 1)[1:] == whole[4:]).all(), "the finest scales are matched"
    assert (biases(listed - 1)[0] == whole[0]).all()
    more = biases(listed + 2)
    assert (more[7:] == whole[1:]).all()
    assert (more[1:4] == whole[1:4]).all()
    assert (more[4:7] == whole[1:4]).all()
    assert biases(0).shape == (1, CHANNELS[kind])


def test_the_annex_of_the_document_is_that_of_the_code():
    from benchmarks.training import context_annex as module

    assert module.ANNEX.read_text() == module.annex(), (
        "run python -m benchmarks.training.context_annex"
    )
