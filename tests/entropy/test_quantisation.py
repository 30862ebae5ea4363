"""Quantisation: steps, rates and gradients; the estimate of a fit is the size of the file."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nvcodec.entropy.coder.distributions import bits, fitted_scale
from nvcodec.entropy.coder.probability_tables import (
    SCALES,
    TOTAL,
    DistributionFamily,
    cumulative,
    scale_value,
)
from nvcodec.entropy.weights.joint_quantisation import JointQuantiser
from nvcodec.entropy.weights.quantisation import (
    STEPS,
    StateQuantiser,
    TensorQuantiser,
    dequantise,
    round_ste,
    step_values,
)
from nvcodec.entropy.weights.tensor_codec import QuantisedTensor, decode_tensors, encode_tensors
from nvcodec.models.base.tensor_spec import TensorSpec

FAMILIES = [DistributionFamily.LAPLACE, DistributionFamily.LOGISTIC]


def test_golden_steps():
    indices = np.array([0, 1, 7, 8, 100, 160, 255], np.int32)
    found = step_values(indices)
    assert found.dtype == np.float32
    expected = [
        "0x1.0000000000000p-20",
        "0x1.172b840000000p-20",
        "0x1.d5818e0000000p-20",
        "0x1.0000000000000p-19",
        "0x1.6a09e60000000p-8",
        "0x1.0000000000000p+0",
        "0x1.d5818e0000000p+11",
    ]
    assert [float(step).hex() for step in found] == expected
    every = step_values(np.arange(STEPS, dtype=np.int32))
    exact = 2.0 ** (np.arange(STEPS) / 8 - 20)
    assert np.abs(every / exact - 1).max() < 2**-23


def test_dequantising_is_one_exact_product():
    rng = np.random.default_rng(0)
    for spec, steps in [
        (TensorSpec("w", (8, 3, 3, 3), group=4), 8),
        (TensorSpec("w", (8, 3, 3, 3), group=4), 2),
        (TensorSpec("w", (8, 3, 3, 3), group=4), 1),
        (TensorSpec("l", (5, 3, 2, 2), channel_axis=1, latent=True), 3),
    ]:
        symbols = rng.integers(-2047, 2048, spec.shape).astype(np.int32)
        indices = rng.integers(0, STEPS, steps).astype(np.int32)
        found = dequantise(QuantisedTensor(symbols, indices), spec)
        assert found.dtype is torch.float32 and tuple(found.shape) == spec.shape
        values = step_values(indices)
        channels = spec.shape[spec.channel_axis]
        for channel in range(channels):
            step = values[channel * steps // channels]
            part = np.take(symbols, channel, spec.channel_axis).astype(np.float32) * step
            assert (np.take(found.numpy(), channel, spec.channel_axis) == part).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_differentiable_bits_are_the_tables_code_lengths(family):
    for index in range(8, 34, 3):
        reach = 200
        bounds = np.diff(cumulative(family, index, -reach, reach))
        lengths = np.log2(TOTAL) - np.log2(bounds)
        symbols = torch.arange(-reach, reach + 1).float()
        found = bits(symbols, torch.tensor(scale_value(index)), family).numpy()
        likely = lengths < 11
        assert likely.sum() >= 3
        # The table reserves a frequency of 1 for every symbol, which costs a little; the
        # remainder from rounding goes to the middle.
        off = np.abs(found - lengths)
        assert lengths[reach] < found[reach] + 0.06
        assert off[likely & (np.arange(len(off)) != reach)].max() < 0.06, index
        assert found.max() <= 16 and found.min() >= 0


@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_are_finite_at_the_extremes(family):
    for scale in (scale_value(0), 0.3, 1.0, scale_value(SCALES - 1), 1e-3, 1e6):
        symbols = torch.tensor([0.0, 0.5, -0.5, 1.0, -2047.0, 2047.0, 1e-8]).requires_grad_()
        width = torch.tensor(scale).requires_grad_()
        rate = bits(symbols, width, family)
        assert rate.isfinite().all() and (rate >= 0).all() and (rate <= 16).all()
        rate.sum().backward()
        assert symbols.grad.isfinite().all(), scale
        assert width.grad.isfinite(), scale


@pytest.mark.parametrize("family", FAMILIES)
def test_the_fitted_scale_is_nearly_the_best(family):
    rng = np.random.default_rng(0)
    for scale in (0.1, 0.5, 2.0, 30.0):
        if family is DistributionFamily.LAPLACE:
            drawn = rng.laplace(0, scale, 20_000)
        else:
            drawn = rng.logistic(0, scale, 20_000)
        symbols = torch.tensor(np.rint(drawn)).float()
        found = fitted_scale(symbols.abs().mean(), family)
        rate = float(bits(symbols, found, family).sum())
        best = min(
            float(bits(symbols, torch.tensor(scale_value(i)), family).sum()) for i in range(SCALES)
        )
        assert rate <= 1.05 * best + 60
    for magnitude in (0.0, 1e9):
        assert fitted_scale(torch.tensor(magnitude), family).isfinite()


def _fitted_tensors() -> tuple[list[TensorSpec], list[torch.Tensor]]:
    """Return tensors like those of a fit: channels of different energy, drifting embeddings."""
    torch.manual_seed(0)
    specs = [
        TensorSpec("stem weight", (20, 16, 1, 1)),
        TensorSpec("stem bias", (20,)),
        TensorSpec("stage weight", (64, 20, 5, 5), group=4),
        TensorSpec("stage bias", (64,), group=4),
        TensorSpec("embedding", (30, 16, 2, 4), channel_axis=1, latent=True),
    ]
    tensors = []
    for spec in specs:
        if spec.latent:
            tensors.append(torch.randn(spec.shape).cumsum(0) * 0.05)
            continue
        channels = spec.shape[0]
        spread = torch.exp(0.5 * torch.randn(channels // spec.group)).repeat_interleave(spec.group)
        signs = torch.rand(spec.shape) - 0.5
        laplace = -signs.sign() * torch.log1p(-2 * signs.abs())
        tensors.append(0.05 * laplace * spread.view(-1, *[1] * (len(spec.shape) - 1)))
    return specs, tensors


@pytest.mark.parametrize("fineness", [1.5, 4.0, 12.0])
def test_the_estimate_is_the_size_of_the_file(fineness):
    specs, tensors = _fitted_tensors()
    quantiser = StateQuantiser(specs, tensors, fineness)
    quantiser.choose_rate_models(tensors)
    with torch.no_grad():
        values, estimate = quantiser(tensors)
    exported = quantiser.export(tensors)
    data = encode_tensors(exported, specs)
    assert abs(float(estimate) / 8 - len(data)) <= 0.01 * len(data) + 24
    # The decoder gets the values that the fit computed with.
    for tensor, spec, value in zip(decode_tensors(data, specs), specs, values, strict=True):
        torch.testing.assert_close(dequantise(tensor, spec), value, rtol=1e-6, atol=0)


def test_coarser_steps_take_fewer_bits():
    specs, tensors = _fitted_tensors()
    quantiser = StateQuantiser(specs, tensors, 6.0)
    sizes = []
    for _ in range(3):
        quantiser.choose_rate_models(tensors)
        with torch.no_grad():
            sizes.append(float(quantiser(tensors)[1]))
        quantiser.scale_steps(1.0)
    values = sum(tensor.numel() for tensor in tensors)
    # About one bit per value for an octave.
    assert sizes[0] - sizes[1] == pytest.approx(values, rel=0.1)
    assert sizes[1] - sizes[2] < sizes[0] - sizes[1]


def test_gradients_reach_values_and_steps():
    specs, tensors = _fitted_tensors()
    tensors = [tensor.clone().requires_grad_() for tensor in tensors]
    quantiser = StateQuantiser(specs, tensors, 3.0)
    values, size = quantiser(tensors)
    (size / 1000 + sum((value**2).sum() for value in values)).backward()
    for tensor in [*tensors, *quantiser.parameters()]:
        assert tensor.grad.isfinite().all()
        assert tensor.grad.abs().sum() > 0


def test_silent_tensors_can_be_quantised():
    spec = TensorSpec("bias", (6,), group=2)
    values = torch.zeros(6)
    for sharing in range(3):
        quantiser = TensorQuantiser(spec, values, 6.0, sharing)
        quantised, symbols = quantiser(values)
        assert torch.equal(quantised, values) and torch.equal(symbols, values)
        assert quantiser.bits(symbols).isfinite()
    loud = torch.tensor([0.0, 0, 3, 4, 0, 0])
    quantised, symbols = TensorQuantiser(spec, loud, 6.0, 1)(loud)
    assert symbols.abs().max() <= 2047
    assert (quantised - loud).abs().max() < 0.5


def test_symbols_stay_in_range_whatever_the_values():
    spec = TensorSpec("weight", (2, 3))
    quantiser = TensorQuantiser(spec, torch.ones(2, 3), 6.0, 0)
    for values in (torch.full((2, 3), 1e30), torch.full((2, 3), -1e30)):
        assert quantiser.export(values).symbols.tolist() in ([[2047] * 3] * 2, [[-2047] * 3] * 2)


def test_rounding_passes_the_gradient():
    x = torch.tensor([0.2, 1.7, -2.5]).requires_grad_()
    rounded = round_ste(x)
    assert rounded.tolist() == [0, 2, -2]
    (rounded * torch.tensor([1.0, 2, 3])).sum().backward()
    assert x.grad.tolist() == [1, 2, 3]


def test_all_tensors_in_one_go_are_what_each_is_alone():
    draw = torch.Generator().manual_seed(0)
    specs = [
        TensorSpec("w0", (8, 2, 1, 1), fineness=2.0),
        TensorSpec("b0", (8,)),
        TensorSpec("w1", (12, 8, 3, 3), group=4),
        TensorSpec("b1", (12,), group=4),
        TensorSpec("w2", (6, 3)),
    ]
    # Few large values among many small ones suit Laplace, even ones the logistic distribution.
    tensors = [torch.randn(spec.shape, generator=draw) ** power for spec, power in zip(
        specs, (1, 1, 3, 1, 3), strict=True
    )]  # fmt: skip
    tensors[4][2] = 0
    tensors = [tensor.requires_grad_() for tensor in tensors]
    alone, joint = (kind(specs, tensors, 5.0) for kind in (StateQuantiser, JointQuantiser))
    for octaves in (0.0, 1.5):
        found = []
        for quantiser in (alone, joint):
            quantiser.scale_steps(octaves)
            quantiser.choose_rate_models(tensors)
            values, size = quantiser(tensors)
            loss = size.log() + sum(value.square().sum() for value in values)
            steps = list(quantiser.parameters())
            slopes = torch.autograd.grad(loss, [*tensors, *steps])
            flat = torch.cat([slope.flatten() for slope in slopes])
            found.append((torch.cat([value.flatten() for value in values]), size, flat))
        for separate_value, joint_value in zip(*found, strict=True):
            torch.testing.assert_close(separate_value, joint_value, rtol=1e-4, atol=1e-5)
        for separate_value, joint_value in zip(
            alone.export(tensors), joint.export(tensors), strict=True
        ):
            assert (separate_value.symbols == joint_value.symbols).all() and (
                separate_value.steps == joint_value.steps
            ).all()
    families = {quantiser.rate_model.family for quantiser in alone.quantisers}
    assert len(families) == 2


def test_latents_are_not_quantised_in_one_go():
    spec = TensorSpec("latents", (4, 2, 3, 3), channel_axis=1, latent=True)
    with pytest.raises(AssertionError, match="tensor by tensor"):
        JointQuantiser([spec], [torch.ones(spec.shape)], 5.0)
