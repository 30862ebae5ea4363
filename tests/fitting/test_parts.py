"""The parts of a fit: schedule and pace, the guard, and what is minimised."""

from __future__ import annotations

import logging
import math

import numpy as np
import pytest
import pytorch_msssim
import torch
import torch.nn.functional as F
from skimage.metrics import structural_similarity

from nvcodec.config import FitConfig
from nvcodec.fitting.network import schedule as pacing
from nvcodec.fitting.network.divergence_guard import DivergenceGuard
from nvcodec.fitting.network.losses import distortion, ms_ssim, squared_error, ssim
from nvcodec.fitting.network.optimisers import Adam, Adan
from nvcodec.fitting.network.rate_control import RateController
from nvcodec.fitting.network.schedule import LearningRateSchedule, StageClock
from nvcodec.media import ColourMode


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def ticking(monkeypatch) -> Clock:
    ticking = Clock()
    monkeypatch.setattr(pacing, "time", ticking)
    return ticking


def test_pace_by_steps(ticking):
    clock = StageClock(4, None)
    assert (clock.fraction, clock.finished()) == (0.0, False)
    ticking.now += 3
    clock.step = 1
    assert (clock.fraction, clock.elapsed) == (0.25, 3)
    clock.step = 4
    assert clock.finished()
    clock.step = 9
    assert clock.fraction == 1.0


def test_pace_by_the_clock(ticking):
    clock = StageClock(100, 10.0)
    ticking.now += 50
    assert not clock.finished()  # at least one step is taken
    clock.step = 1
    assert clock.finished()
    clock = StageClock(100, 10.0)
    ticking.now += 5
    clock.step = 2
    assert clock.fraction == 0.5
    clock.step = 80
    assert clock.fraction == 0.8


def test_pace_with_no_time_or_no_steps(ticking):
    clock = StageClock(0, 0.0)
    assert not clock.finished()
    clock.step = 1
    ticking.now += 1
    assert clock.finished()


def test_schedule():
    schedule = LearningRateSchedule(1e-3, 0.2, 0.1)
    assert schedule.at(0.0) == pytest.approx(0.1)
    assert schedule.at(0.1) == pytest.approx(0.55)
    assert schedule.at(0.2) == pytest.approx(1.0)
    assert schedule.at(0.6) == pytest.approx(0.5)
    assert schedule.at(1.0) == pytest.approx(0.0)
    assert LearningRateSchedule(1e-3, 0.0, 0.0).at(0.0) == 1.0


def test_parts_of_a_schedule_join():
    whole = LearningRateSchedule(1e-3, 0.1, 0.1)
    first, second = whole.part(0.0, 0.5), whole.part(0.5, 1.0)
    for fraction in (0.0, 0.1, 0.5, 0.9, 1.0):
        assert first.at(fraction) == pytest.approx(whole.at(fraction / 2))
        assert second.at(fraction) == pytest.approx(whole.at(0.5 + fraction / 2))


def test_the_guard_restores_after_nan(caplog):
    parameter = torch.nn.Parameter(torch.zeros(3))
    guard = DivergenceGuard([parameter])
    with torch.no_grad():
        parameter.fill_(1)
    assert not guard.check(0.5, 0.5)
    for bad in ((math.nan, 0.4), (0.4, math.nan), (math.inf, 0.4)):
        with torch.no_grad():
            parameter.fill_(math.nan)
        with caplog.at_level(logging.WARNING, "nvcodec"):
            assert guard.check(*bad)
        assert parameter.tolist() == [1, 1, 1]
    assert guard.recoveries == 3
    assert guard.rate_scale == 1 / 64  # 1/2, then 1/4 of it, then 1/8 of that
    assert "collapsed" in caplog.text


def test_the_guard_restores_after_a_collapse_and_tolerates_noise():
    parameter = torch.nn.Parameter(torch.tensor([1.0]))
    guard = DivergenceGuard([parameter])
    for value, error, restored in [(2, 0.1, False), (3, 0.15, False), (4, 0.21, True)]:
        with torch.no_grad():
            parameter.fill_(value)
        assert guard.check(error, error) is restored
    assert parameter.item() == 2
    assert guard.rate_scale == 0.5


def test_the_guard_restores_to_the_start_if_nothing_was_good():
    parameter = torch.nn.Parameter(torch.tensor([7.0]))
    guard = DivergenceGuard([parameter])
    with torch.no_grad():
        parameter.fill_(math.inf)
    assert guard.check(math.nan, math.nan)
    guard.finish()
    assert parameter.item() == 7


def test_the_guard_ends_with_the_best_state():
    parameter = torch.nn.Parameter(torch.tensor([0.0]))
    guard = DivergenceGuard([parameter])
    for value, objective in [(1, 0.5), (2, 0.3), (3, 0.31)]:
        with torch.no_grad():
            parameter.fill_(value)
        guard.check(objective, 0.1)
    guard.finish()
    assert parameter.item() == 2


def test_the_guard_takes_what_comes_when_it_begins_anew():
    parameter = torch.nn.Parameter(torch.tensor([0.0]))
    guard = DivergenceGuard([parameter], error=1.0)
    assert not guard.check(0.1, 0.1)
    guard.reset_best()
    with torch.no_grad():
        parameter.fill_(1)
    assert not guard.check(0.5, 0.5)  # would be a collapse
    guard.finish()
    assert parameter.item() == 1
    assert guard.check(0.6, 1.1)
    assert parameter.item() == 1


class FakeStage:
    """Five bits a value, a bit less for each octave; real bytes are 4 % more than estimated."""

    def __init__(self) -> None:
        self.octaves = 0.0
        self.quantiser = self

    def scale_steps(self, octaves: float) -> None:
        self.octaves += octaves

    def estimated_bits(self) -> float:
        return 1000 * max(5 - self.octaves, 0.5)

    def coded_bits(self) -> float:
        return 1.04 * self.estimated_bits()


@pytest.mark.parametrize("wanted", [1000.0, 4900.0, 7000.0])
def test_a_size_is_approached_and_held(wanted):
    stage = FakeStage()
    control = RateController(stage, FitConfig(), wanted, 1000, 20)
    for epoch in range(10):
        for step in range(20):
            fraction = (epoch + step / 20) / 10
            before = stage.octaves
            control.update(stage.estimated_bits(), fraction)
            assert abs(stage.octaves - before) < 0.3
        control.calibrate((epoch + 1) / 10)
    assert control.settled(0.3) and not control.settled(0.2)
    assert stage.coded_bits() == pytest.approx(wanted, rel=0.01)
    assert float(control.excess(torch.tensor(wanted))) == pytest.approx(0.04, abs=1e-3)


@pytest.mark.parametrize("shape", [(32, 48), (11, 11), (17, 40)])
def test_ssim_is_that_of_scikit_image(shape):
    chance = np.random.default_rng(0)
    for noise in (0.02, 0.3):
        one = chance.random((2, 3, *shape)).astype(np.float32)
        other = np.clip(one + noise * chance.standard_normal(one.shape), 0, 1).astype(np.float32)
        expected = []
        for x, y in zip(one.reshape(-1, *shape), other.reshape(-1, *shape), strict=True):
            _, values = structural_similarity(
                x.astype(float), y.astype(float), data_range=1.0, gaussian_weights=True, sigma=1.5,
                use_sample_covariance=False, full=True,
            )  # fmt: skip
            expected.append(values[5 : shape[0] - 5, 5 : shape[1] - 5].mean())
        found = float(ssim(torch.from_numpy(one), torch.from_numpy(other)))
        assert found == pytest.approx(np.mean(expected), abs=2e-4)


def test_ssim_of_equal_and_of_tiny_pictures():
    picture = torch.rand(1, 3, 20, 20)
    assert float(ssim(picture, picture)) == pytest.approx(1.0, abs=1e-5)
    tiny = torch.rand(1, 3, 4, 30)
    assert float(ssim(tiny, tiny)) == pytest.approx(1.0, abs=1e-5)
    assert float(ssim(tiny, 1 - tiny)) < 0.5


def test_squared_error_weighs_planes_as_psnr_does():
    chance = torch.Generator().manual_seed(0)
    one, other = torch.rand(2, 6, 4, 5, generator=chance), torch.rand(2, 6, 4, 5, generator=chance)
    means = (one - other).square().mean((0, 2, 3))
    expected = (6 * means[:4].mean() + means[4] + means[5]) / 8
    assert float(squared_error(one, other, ColourMode.YUV420)) == pytest.approx(float(expected))
    rgb = squared_error(one[:, :3], other[:, :3], ColourMode.RGB)
    assert float(rgb) == pytest.approx(float((one - other)[:, :3].square().mean()))


def test_distortions():
    chance = torch.Generator().manual_seed(0)
    one = torch.rand(1, 3, 16, 16, generator=chance).requires_grad_()
    other = torch.rand(1, 3, 16, 16, generator=chance)
    loss, error = distortion(one, other, ColourMode.RGB, "l2")
    assert loss is error
    loss, error = distortion(one, other, ColourMode.RGB, "fusion6")
    expected = 0.7 * (one - other).abs().mean() + 0.3 * (1 - ssim(one, other))
    assert float(loss.detach()) == pytest.approx(float(expected.detach()))
    assert not error.requires_grad
    loss.backward()
    assert one.grad.isfinite().all() and one.grad.abs().sum() > 0
    loss, error = distortion(one, other, ColourMode.RGB, "frequency")
    difference = (one - other).detach()
    spectrum = np.fft.rfft2(difference.numpy(), norm="ortho")
    expected = 42 * difference.abs().mean() + 18 * (1 - ms_ssim(one, other).detach())
    # As large as an unnormalised spectrum of 720 x 1280 samples would be.
    expected += 960 * (np.abs(spectrum.real).mean() + np.abs(spectrum.imag).mean()) / 2
    assert float(loss.detach()) == pytest.approx(float(expected), rel=1e-4)
    assert not error.requires_grad


def test_ms_ssim_is_that_of_the_metric():
    chance = torch.Generator().manual_seed(0)
    one = F.avg_pool2d(torch.rand(1, 3, 416, 384, generator=chance), 2)
    other = (one + 0.05 * torch.randn(one.shape, generator=chance)).clamp(0, 1)
    expected = pytorch_msssim.ms_ssim(one, other, data_range=1.0)
    assert float(ms_ssim(one, other)) == pytest.approx(float(expected), abs=1e-4)
    # Pictures too small for five scales have fewer.
    assert float(ms_ssim(one[..., :40, :30], one[..., :40, :30])) == pytest.approx(1.0, abs=1e-5)
    assert 0 < float(ms_ssim(one[..., :40, :30], other[..., :40, :30])) < 1
    # Structures that contradict each other still have a gradient.
    against = (1 - one).requires_grad_()
    (1 - ms_ssim(against, one)).backward()
    assert against.grad.isfinite().all()


def test_adan_takes_the_steps_of_its_paper():
    first, second, third, rate, eps = 0.98, 0.92, 0.99, 0.03, 1e-8
    chance = np.random.default_rng(0)
    x = chance.standard_normal(5)
    tensor = torch.tensor(x, requires_grad=True)
    optimiser = Adan([tensor], lr=rate)
    mean = change = square = np.zeros(5)
    before = None
    for step in range(1, 8):
        gradient = 2 * x + np.sin(5 * x)
        optimiser.zero_grad()
        (tensor**2 - torch.cos(5 * tensor) / 5).sum().backward()
        np.testing.assert_allclose(tensor.grad.numpy(), gradient, rtol=1e-9)
        optimiser.step()
        difference = np.zeros(5) if before is None else gradient - before
        mean = first * mean + (1 - first) * gradient
        change = second * change + (1 - second) * difference
        square = third * square + (1 - third) * (gradient + second * difference) ** 2
        root = np.sqrt(square / (1 - third**step)) + eps
        move = mean / (1 - first**step) + second * change / (1 - second**step)
        x, before = x - rate * move / root, gradient
        np.testing.assert_allclose(tensor.detach().numpy(), x, rtol=1e-9)


def test_adam_is_bit_for_bit_that_of_pytorch():
    draw = torch.Generator().manual_seed(0)
    start = [torch.randn(shape, generator=draw) for shape in ((5, 3), (7,), (2,))]
    sides = []
    for made in (
        lambda groups: torch.optim.Adam(groups, betas=(0.8, 0.99), fused=True),
        lambda groups: Adam(groups, (0.8, 0.99)),
    ):
        tensors = [tensor.clone().requires_grad_() for tensor in start]
        groups = [{"params": tensors[:2], "lr": 0.0}, {"params": tensors[2:], "lr": 0.0}]
        optimiser = made(groups)
        for step in range(4):
            for group, rate in zip(optimiser.param_groups, (0.1, 0.02), strict=True):
                group["lr"] = rate / (step + 1)
            optimiser.zero_grad()
            # The last tensor has no gradient at first, and none is made up for it.
            used = tensors if step else tensors[:2]
            sum((tensor * tensor.cos()).sum() for tensor in used).backward()
            optimiser.step()
        sides.append(tensors)
    assert all(torch.equal(one, other) for one, other in zip(*sides, strict=True))
    assert not any(torch.equal(one, other) for one, other in zip(start, sides[0], strict=True))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_error_of_planes_has_the_gradient_of_its_definition(layout):
    draw = torch.Generator().manual_seed(0)
    output, target = (
        torch.rand((3, 6, 9, 14), generator=draw).contiguous(memory_format=layout) for _ in range(2)
    )
    output.requires_grad_()
    weights = torch.tensor([6 / 32] * 4 + [1 / 8] * 2)
    defined = ((output - target).square().mean((0, 2, 3)) * weights).sum()
    found = squared_error(output, target, ColourMode.YUV420)
    assert torch.equal(found, defined)
    slopes = [torch.autograd.grad(error.log(), output)[0] for error in (found, defined)]
    assert torch.equal(*slopes)
    assert slopes[0].stride() == output.stride()
