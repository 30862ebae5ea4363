"""Whole fits of tiny clips: quality, size, seeds, progress and limits."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from nvcodec.config import PRESETS, EncoderConfig, FitConfig
from nvcodec.entropy.weights.quantisation import dequantise
from nvcodec.entropy.weights.tensor_codec import encode_tensors
from nvcodec.errors import ConfigError
from nvcodec.fitting.interface import FitProgress
from nvcodec.fitting.network.fit import fit, fit_sizes
from nvcodec.fitting.network.request import Fit, FitRequest
from nvcodec.media import ColourMode
from nvcodec.models import build, config_class
from nvcodec.models.hnerv.config import HNeRVConfig


def _samples(config) -> torch.Tensor:
    """Return smooth frames in slow motion, uint8, on the padded grid of a model."""
    height, width = config.padded
    rows, columns = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    pictures = [
        [
            120 + 90 * np.sin((rows + 2 * t) / (4 + c) + columns / (5 + c))
            for c in range(config.colour.channels)
        ]
        for t in range(config.frames)
    ]
    return torch.from_numpy(np.array(pictures).astype(np.uint8)).contiguous(
        memory_format=torch.channels_last
    )


def _start(name="hnerv", colour=ColourMode.YUV420, seed=0, budget=None):
    name, _, boosted = name.partition(", ")
    budget = budget or (20_000 if boosted else 3000)
    config = config_class(name).from_budget(
        budget, size=(32, 48), frames=4, colour=colour, boosted=bool(boosted)
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = build(name, config)
    return model, _samples(config)


def _request(model, samples, config, *, seed=0, **options) -> FitRequest:
    return FitRequest(model=model, samples=samples, config=config, seed=seed, **options)


def _run(name="hnerv", colour=ColourMode.YUV420, *, seed=0, epochs=3, **options) -> Fit:
    model, samples = _start(name, colour, seed)
    config = options.pop("config", FitConfig(epochs=epochs))
    target_bits = options.pop("target_bits", None)
    return fit(_request(model, samples, config, seed=seed, **options), target_bits=target_bits)


def _same(one: Fit, other: Fit) -> bool:
    return all(
        np.array_equal(a.symbols, b.symbols) and np.array_equal(a.steps, b.steps)
        for a, b in zip(one.tensors, other.tensors, strict=True)
    )


@pytest.mark.parametrize(
    ("name", "colour"),
    [
        *((name, colour) for name in ("nerv", "hnerv", "nirvana", "ngp") for colour in ColourMode),
        ("nervpp", ColourMode.YUV420),
        ("nerv, boosted", ColourMode.YUV420),
        ("hnerv, boosted", ColourMode.RGB),
        ("nervpp, boosted", ColourMode.RGB),
    ],
)
def test_psnr_rises_and_the_stream_holds_it(name, colour, monkeypatch):
    seen: list[FitProgress] = []
    model, samples = _start(name, colour)
    # The recipes are tuned for networks and clips a hundred times as large.
    if not model.config.boosted:
        recipe = dataclasses.replace(model.config.recipe, learning_rate=1e-2)
        monkeypatch.setattr(type(model.config), "RECIPE", recipe)
    epochs = {"nerv, boosted": 40, "hnerv, boosted": 12, "nervpp, boosted": 15, "ngp": 120}
    config = FitConfig(epochs=epochs.get(name, 25))
    outcome = fit(_request(model, samples, config, on_progress=seen.append))
    floats = [progress.psnr for progress in seen if progress.stage == "float"]
    assert floats[-1] > floats[0] + 2
    assert outcome.psnr > floats[0] + 2
    assert outcome.recoveries == 0
    # A fresh network with the dequantised tensors gives the frames.
    fresh = build(name.partition(", ")[0], model.config)
    specs = model.config.tensors()
    fresh.load([dequantise(t, s) for t, s in zip(outcome.tensors, specs, strict=True)])
    with torch.no_grad():
        planes = fresh.planes(torch.arange(4))
    target = samples[:, :, : planes.shape[2], : planes.shape[3]] / 255
    weights = torch.ones(3) if colour is ColourMode.RGB else torch.tensor([1.5] * 4 + [1, 1])
    error = ((planes - target).square().mean((0, 2, 3)) * weights / weights.sum()).sum()
    assert -10 * math.log10(float(error)) == pytest.approx(outcome.psnr, abs=0.7)
    size = 8 * len(encode_tensors(outcome.tensors, specs))
    # Tensors of a few hundred values are often coded with a histogram, which the estimate ignores.
    assert outcome.bits == pytest.approx(size, rel=0.15 if name == "ngp" else 0.1)


@pytest.mark.parametrize("name", ["nerv", "hnerv", "nervpp", "hnerv, boosted", "ngp"])
def test_the_seed_decides_everything(name):
    state = torch.random.get_rng_state()
    one = _run(name, seed=3)
    torch.rand(5)
    assert _same(one, _run(name, seed=3))
    assert not _same(one, _run(name, seed=4))
    torch.random.set_rng_state(state)
    _run(name, epochs=1)
    assert torch.equal(torch.random.get_rng_state(), state)  # the global generator is not touched


@pytest.mark.parametrize("bits_per_value", [2.5, 5.0])
def test_a_size_is_reached(bits_per_value):
    model, samples = _start(budget=6000)
    target = bits_per_value * model.config.parameters
    config = FitConfig(epochs=15, quantised_share=1.0)
    outcome = fit(_request(model, samples, config), target_bits=target)
    size = 8 * len(encode_tensors(outcome.tensors, model.config.tensors()))
    assert size == pytest.approx(target, rel=0.04)


def test_more_rate_weight_gives_fewer_bits():
    sizes = [
        _run(config=FitConfig(epochs=10, quantised_share=1.0, rate_weight=weight)).bits
        for weight in (0.003, 0.3)
    ]
    assert sizes[1] < 0.9 * sizes[0]


def test_lmbda_is_per_bit_per_pixel_whatever_the_network():
    """It equals a rate weight in proportion to the parameters per pixel."""
    for budget in (3000, 6000):
        runs = []
        for lmbda in (0.05, None):
            model, samples = _start(budget=budget)
            weight = 0.05 * model.config.parameters / (4 * 32 * 48)
            config = FitConfig(epochs=2, **({"rate_weight": weight} if lmbda is None else {}))
            runs.append(fit(_request(model, samples, config), lmbda=lmbda))
        assert _same(*runs)
    model, samples = _start()
    with pytest.raises(ConfigError, match="one of"):
        fit(_request(model, samples, FitConfig(epochs=1)), lmbda=1.0, target_bits=100.0)


def test_several_sizes_from_one_float_stage():
    def together(*sizes: float, **options) -> list[Fit]:
        model, samples = _start()
        return fit_sizes(_request(model, samples, FitConfig(epochs=4), **options), sizes)

    seen: list[FitProgress] = []
    fits = together(6000.0, 15000.0, 9000.0, on_progress=seen.append)
    assert [progress.epoch for progress in seen] == list(range(1, 8))
    assert {progress.epochs for progress in seen} == {7} and seen[-1].remaining == 0
    assert [outcome.epochs for outcome in fits] == [7, 5, 6]
    specs = _start()[0].config.tensors()
    sizes = [8 * len(encode_tensors(outcome.tensors, specs)) for outcome in fits]
    assert sizes == pytest.approx([6000, 15000, 9000], rel=0.1)
    # The largest size gives the result of a fit of its own; the others depend on larger sizes only.
    assert _same(fits[1], _run(config=FitConfig(epochs=4), target_bits=15000.0))
    assert _same(fits[2], together(9000.0, 15000.0)[0])


def test_progress_counts_epochs():
    seen: list[FitProgress] = []
    outcome = _run(epochs=8, on_progress=seen.append)
    assert [progress.epoch for progress in seen] == list(range(1, 11))
    assert {progress.epochs for progress in seen} == {10}
    assert outcome.epochs == 10
    assert [progress.stage for progress in seen] == ["float"] * 8 + ["quantised"] * 2
    assert all((progress.bits is None) == (progress.stage == "float") for progress in seen)
    seconds = [progress.seconds for progress in seen]
    assert seconds == sorted(seconds)
    assert all(math.isfinite(progress.remaining) for progress in seen)
    assert seen[-1].remaining == 0


def test_what_the_callback_raises_ends_the_fit():
    class StopFitError(Exception):
        pass

    calls = []

    def stop(progress: FitProgress) -> None:
        calls.append(progress)
        if progress.epoch == 3:
            raise StopFitError

    with pytest.raises(StopFitError):
        _run(epochs=50, on_progress=stop)
    assert len(calls) == 3


@pytest.mark.parametrize("name", ["nerv", "hnerv"])
@pytest.mark.parametrize("seconds", [0.0, 0.3])
def test_a_time_limit_ends_in_valid_tensors(name, seconds):
    model, samples = _start(name)
    config = FitConfig(epochs=100_000)
    outcome = fit(_request(model, samples, config, seconds=seconds))
    assert 2 <= outcome.epochs < 10_000
    assert encode_tensors(outcome.tensors, model.config.tensors())
    assert math.isfinite(outcome.psnr)


@pytest.mark.parametrize("batch", [1, 3, 4, 100])
def test_batches_of_any_size(batch):
    outcome = _run(config=FitConfig(epochs=2, batch=batch))
    assert math.isfinite(outcome.psnr)


@pytest.mark.parametrize("share", [0.01, 0.5, 1.0])
def test_any_share_of_the_encoder(share):
    outcome = _run(config=FitConfig(epochs=3, encoder_share=share))
    assert math.isfinite(outcome.psnr) and outcome.epochs == 4


@pytest.mark.parametrize("rate", [1e3, 1e30])
def test_an_absurd_learning_rate_ends_in_a_sane_picture(monkeypatch, rate):
    recipe = dataclasses.replace(HNeRVConfig.RECIPE, learning_rate=rate, warmup_start=1.0)
    monkeypatch.setattr(HNeRVConfig, "RECIPE", recipe)
    outcome = _run(epochs=12)
    # A grey picture scores about 12 dB.
    assert outcome.psnr > 5
    assert math.isfinite(outcome.bits)


def test_fits_on_patches():
    outcome = _run(config=FitConfig(epochs=6, patch=8))
    assert math.isfinite(outcome.psnr)


@pytest.mark.parametrize(
    "bad",
    [
        {"epochs": 0},
        {"batch": 0},
        {"patch": 0},
        {"encoder_share": -0.1},
        {"encoder_share": 1.1},
        {"quantised_share": -1},
        {"rate_weight": 0},
        {"fineness": -1},
        {"clip": 0},
        {"rate_weight": math.nan},
    ],
)
def test_settings_are_checked(bad):
    with pytest.raises(ConfigError):
        FitConfig(**bad)


def test_families_whose_passes_are_single_steps_take_more_of_them():
    usual = PRESETS["fast"].epochs
    made = {
        name: EncoderConfig(model=name, preset="fast").fitting.epochs
        for name in ("nerv", "nirvana")
    }
    assert made["nerv"] == usual < made["nirvana"]
    # A given number of epochs is kept.
    assert EncoderConfig(model="nirvana", epochs=7).fitting.epochs == 7
    assert EncoderConfig(model="nirvana", fit=FitConfig(epochs=7)).fitting.epochs == 7


def test_presets_differ_only_in_work():
    epochs = [PRESETS[name].epochs for name in ("ultrafast", "fast", "medium", "slow", "placebo")]
    assert epochs == sorted(epochs) and len(set(epochs)) == 5
    assert len({dataclasses.replace(preset, epochs=1) for preset in PRESETS.values()}) == 1
