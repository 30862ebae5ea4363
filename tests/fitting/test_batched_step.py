"""Batched steps: every network gets, bit for bit, the step it would compute alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from nvcodec.config import FitConfig
from nvcodec.device import working_type
from nvcodec.fitting.network.batched_step import batched_step, compute_step_alone, largest_batch
from nvcodec.fitting.network.batches import Batches
from nvcodec.fitting.network.stages import FloatStage, QuantisedStage
from nvcodec.fitting.network.step import Step, compute_step
from nvcodec.media import ColourMode
from nvcodec.models import build
from nvcodec.models.hnerv.config import HNeRVConfig
from nvcodec.models.nirvana.config import NirvanaConfig

SIZE = (46, 70)
FIT = FitConfig(epochs=3)


def _step(
    seed: int,
    *,
    size=SIZE,
    budget=2500,
    frames=4,
    colour=ColourMode.YUV420,
    quantised=True,
    known=False,
    based=False,
):
    """Return a step of a new network, and the tensors that the step has gradients for."""
    config = NirvanaConfig.from_budget(budget, size=size, frames=4, colour=colour)
    config = replace(config, frames=frames)
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = build("nirvana", config)
        base = [one.detach() + 0.1 * torch.randn_like(one) for one in model.transmitted()]
    shape = (frames, colour.channels, *config.padded)
    samples = torch.randint(256, shape, generator=generator, dtype=torch.uint8)
    mask = torch.rand(shape, generator=generator) < 0.7 if known else None
    batches = Batches(samples, mask, config, FIT, generator)
    stage: FloatStage | QuantisedStage = FloatStage(model, None)
    tensors = list(stage.tensors)
    if quantised:
        stage = QuantisedStage(model, FIT, base if based else None)
        # Networks differ in the rate models that are cheapest for their tensors.
        with torch.no_grad():
            stage.tensors[0].mul_(1 + seed)
        stage.between_epochs()
        tensors.append(stage.quantiser.log2_step)
    (index,) = list(batches.round())[:1]
    return Step(config, stage, batches, index, 1e-4 * (1 + seed)), tensors


KINDS = [
    {},
    {"based": True},
    {"known": True, "based": True},
    {},
    {"quantised": False},
    {"frames": 3},
    {"quantised": False, "known": True},
]


def _found(outcome, tensors) -> list[torch.Tensor]:
    return [one for one in outcome if one is not None] + [tensor.grad for tensor in tensors]


def _check(orders, kinds, **common):
    alone = []
    for seed, kind in enumerate(kinds):
        step, tensors = _step(seed, **common, **kind)
        alone.append(_found(compute_step_alone(step), tensors))
    for order in orders:
        made = [_step(seed, **common, **kinds[seed]) for seed in order]
        outcomes = batched_step([step for step, _ in made])
        for seed, outcome, (_, tensors) in zip(order, outcomes, made, strict=True):
            for one, other in zip(_found(outcome, tensors), alone[seed], strict=True):
                assert torch.equal(one, other)


@pytest.fixture
def threads(request):
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(1)  # as the fixture of the session has it


@pytest.mark.parametrize("colour", list(ColourMode))
@pytest.mark.parametrize("threads", [1, 2], indirect=True)
def test_a_step_does_not_depend_on_its_batch(colour, threads):
    _check([[0, 1, 2, 3, 4, 5, 6], [6, 2, 0], [3, 1], [4, 5]], KINDS, colour=colour)


@pytest.mark.parametrize(
    ("size", "budget"),
    [
        ((61, 95), 4300),  # 23 channels: most matrices of a batch are not aligned
        ((176, 320), 16000),  # threads share a sum over positions
        ((46, 70), 60000),  # threads share the gradients of the quantisation steps
    ],
)
@pytest.mark.parametrize("threads", [1, 2], indirect=True)
def test_a_step_of_a_larger_network_does_not_depend_on_its_batch(size, budget, threads):
    _check([[0, 1, 2, 3], [3, 1, 0]], KINDS[:4], size=size, budget=budget)


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_the_network_that_is_stored(kind):
    step, tensors = _step(1, **kind)
    found = _found(compute_step_alone(step), tensors)
    step, tensors = _step(1, **kind)
    if working_type(torch.device("cpu")) != torch.float32:
        pytest.skip("this processor computes single networks in bfloat16")
    for one, other in zip(found, _found(compute_step(step), tensors), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5 * float(other.abs().max()))


def test_which_networks_are_batched():
    assert largest_batch(NirvanaConfig, FIT, 176 * 144, "cpu") > 4
    assert largest_batch(NirvanaConfig, FIT, 320 * 176, "cpu") == 4
    assert largest_batch(NirvanaConfig, FIT, 1280 * 720, "cpu") == 1
    assert largest_batch(NirvanaConfig, FIT, 1280 * 720, "cuda") > 1
    assert largest_batch(HNeRVConfig, FIT, 64, "cpu") == 1
    assert largest_batch(NirvanaConfig, replace(FIT, patch=32), 64, "cpu") == 1
    assert largest_batch(NirvanaConfig, replace(FIT, compile_step=True), 64, "cpu") == 1
