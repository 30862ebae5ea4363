"""Fits of `latentgrid`: a decoder gets what was coded, and targets are met."""

from __future__ import annotations

from dataclasses import replace
from math import log2

import numpy as np
import pytest
import torch

from nvcodec.config import EncoderConfig
from nvcodec.entropy.coder.probability_tables import TOTAL, DistributionFamily, cumulative
from nvcodec.entropy.latents.context_model import CodingPass, LatentSymbols
from nvcodec.entropy.latents.context_network import INPUTS, flatten_weights
from nvcodec.entropy.latents.default_networks import default_network
from nvcodec.errors import ConfigError
from nvcodec.fitting.interface import FitTask
from nvcodec.fitting.latentgrid.context_training import ContextSamples, fit_network
from nvcodec.fitting.latentgrid.effort import Effort
from nvcodec.fitting.latentgrid.encode_pass import SegmentFit
from nvcodec.fitting.latentgrid.fitter import LatentGridFitter
from nvcodec.fitting.latentgrid.motion_search.work import MotionWork
from nvcodec.fitting.latentgrid.rdoq import BITS, RdoQuantiser
from nvcodec.media import Colour, ColourMode, Frames
from nvcodec.models.latentgrid.config import LatentGridConfig
from nvcodec.models.latentgrid.subbands import PlaneKind, SubbandLayout
from nvcodec.reconstruction.latentgrid_decoder import (
    LatentGridDecoder,
    picture_planes,
    source_picture,
    valid_picture,
)
from nvcodec.reconstruction.segment_decoder import luma_psnr

COLOUR = Colour(primaries=1, transfer=1, matrix=1, full_range=False)
CPU = torch.device("cpu")
QUICK = Effort(context_steps=40)


def texture(height: int, width: int) -> np.ndarray:
    """Return smooth noise, 0 to 255 on average, shape (height, width)."""
    rng = np.random.default_rng(3)
    spectrum = np.fft.rfft2(rng.normal(size=(height, width)))
    y, x = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)
    smooth = np.fft.irfft2(spectrum / (0.02 + x**2 + y**2), s=(height, width))
    return 128 + 40 * smooth / smooth.std()


def moving(frames: int = 5, size: tuple[int, int] = (32, 40), shift: int = 2) -> Frames:
    """Return a texture that moves to the left by `shift` samples a frame."""
    height, width = size
    whole = np.clip(np.rint(texture(height, width + shift * frames)), 0, 255).astype(np.uint8)
    luma = np.stack([whole[:, shift * t : shift * t + width] for t in range(frames)])
    half = luma[:, ::2, ::2]
    ticks = np.arange(frames)
    return Frames(y=luma, u=half, v=255 - half, pts=ticks, durations=np.ones_like(ticks))


def segment_fit(frames: Frames, colour: ColourMode = ColourMode.YUV420) -> SegmentFit:
    config = LatentGridConfig.suited(size=frames.y.shape[1:], frames=len(frames), colour=colour)
    return SegmentFit(source_picture(frames, config, COLOUR), config, seed=0)


def task(frames: Frames, **options) -> FitTask:
    given = {
        "bits": (8 * 900.0,),
        "previous": (None,),
        "seconds": None,
        "on_progress": None,
        **options,
    }
    return FitTask(frames=frames, colour=COLOUR, number=0, seed=0, **given)


@pytest.mark.parametrize("colour", list(ColourMode))
@pytest.mark.parametrize("size", [(32, 40), (33, 27)])
def test_a_decoder_gets_what_was_coded(colour, size):
    frames = moving(size=size)
    fit = segment_fit(frames, colour)
    fit.run(QUICK.steps(2000), QUICK, motion_work=MotionWork.SEARCH)
    result = fit.run(QUICK.steps(1900), QUICK, motion_work=MotionWork.KEEP)
    decoder = LatentGridDecoder(fit.config, result.body, COLOUR, CPU)
    for decoded_plane, coded_plane in zip(
        decoder.planes(range(len(frames))),
        picture_planes(result.decoded, fit.config, COLOUR),
        strict=True,
    ):
        assert np.array_equal(decoded_plane, coded_plane)
    if colour is ColourMode.YUV420:
        assert luma_psnr(decoder, frames) == pytest.approx(result.psnr, abs=1e-3)
        errors = [
            np.square(ours.astype(float) - theirs).sum()
            for ours, theirs in zip(
                decoder.planes(range(len(frames))), (frames.y, frames.u, frames.v), strict=True
            )
        ]
        assert result.error == pytest.approx(sum(errors) / result.samples)


def test_motion_saves_bits():
    frames = moving(9, (40, 56), shift=3)
    fit, still = segment_fit(frames), segment_fit(frames)
    result = fit.run(QUICK.steps(2100), QUICK, motion_work=MotionWork.SEARCH)
    assert any(grid.vectors.any() for grid in fit.motion.values())
    # Blocks that cost more than they can save all repeat the cheapest candidate: no motion.
    dear = Effort(context_steps=40, motion_lagrangian=1e9)
    still_result = still.run(dear.steps(2100), dear, motion_work=MotionWork.SEARCH)
    assert not any(grid.vectors.any() for grid in still.motion.values())
    assert len(result.body) < 0.6 * len(still_result.body)
    assert result.psnr > still_result.psnr - 0.5


def test_masked_samples_do_not_steer_motion():
    frames = moving(3, (40, 56), shift=3)
    noise = np.random.default_rng(0).integers(0, 256, frames.y[1, :, :28].shape)
    spoilt = frames.y.copy()
    spoilt[1, :, :28] = noise
    mask = np.ones(frames.y.shape, np.bool_)
    mask[1, :, :28] = False
    config = LatentGridConfig.suited(size=(40, 56), frames=3, colour=ColourMode.YUV420)
    masked = replace(frames, y=spoilt, valid_mask=mask)
    fit = SegmentFit(
        source_picture(masked, config, COLOUR), config, 0, None, valid_picture(masked, config)
    )
    fit.run(QUICK.steps(2100), QUICK, motion_work=MotionWork.SEARCH)
    plain = segment_fit(frames)
    plain.run(QUICK.steps(2100), QUICK, motion_work=MotionWork.SEARCH)
    # The blocks of the valid half move as they do without the noise.
    assert np.array_equal(fit.motion[1].vectors[:, 5:], plain.motion[1].vectors[:, 5:])


@pytest.mark.parametrize("bytes_", [500, 1500])
def test_size_is_met(bytes_):
    fitter = LatentGridFitter(EncoderConfig(size=bytes_, epochs=3, model="latentgrid"))
    (coded,) = fitter.fit(task(moving(), bits=(8.0 * bytes_,)))
    assert len(coded.body) == pytest.approx(bytes_, rel=0.03)
    assert not fitter.warnings


def test_psnr_is_met():
    frames = moving()
    fitter = LatentGridFitter(EncoderConfig(psnr=34.0, epochs=3, model="latentgrid"))
    (coded,) = fitter.fit(task(frames))
    pictures = LatentGridDecoder(coded.config, coded.body, COLOUR, CPU)
    assert luma_psnr(pictures, frames) == pytest.approx(34.0, abs=0.15)


def test_lmbda_balances_rate_and_distortion():
    # Where motion is found exactly, the error is that of the references at any step.
    frames = moving(6, (48, 64))
    noise = np.random.default_rng(0).normal(0, 4, frames.y.shape)
    noisy = replace(frames, y=np.clip(frames.y + noise, 0, 255).astype(np.uint8))
    sizes = []
    for lmbda in (1.0, 1.25):
        fitter = LatentGridFitter(EncoderConfig(lmbda=lmbda, epochs=3, model="latentgrid"))
        (coded,) = fitter.fit(task(noisy, bits=(None,)))
        assert not fitter.warnings
        sizes.append(len(coded.body))
    assert sizes[0] > 1.15 * sizes[1]


def test_a_ladder_is_ordered_as_asked():
    sizes = (600, 1500, 900)
    fitter = LatentGridFitter(EncoderConfig(ladder=sizes, epochs=3, model="latentgrid"))
    coded = fitter.fit(task(moving(), bits=tuple(8.0 * size for size in sizes)))
    assert [len(segment.body) for segment in coded] == pytest.approx(sizes, rel=0.03)


def test_an_unreachable_target_is_a_warning():
    fitter = LatentGridFitter(EncoderConfig(size=20, epochs=3, model="latentgrid"))
    (coded,) = fitter.fit(task(moving(), bits=(160.0,)))
    assert len(coded.body) > 20
    assert fitter.warnings and "not reached" in fitter.warnings[0]


def test_parameters_are_refused():
    with pytest.raises(ConfigError, match="parameters"):
        LatentGridFitter(EncoderConfig(parameters=1000, model="latentgrid"))


def test_no_time_is_one_pass():
    fitter = LatentGridFitter(EncoderConfig(bpp=1.0, epochs=30, model="latentgrid"))
    reports = []
    fitter.fit(task(moving(), seconds=1e-3, on_progress=reports.append))
    assert fitter.epochs == 1
    assert reports[-1].epoch == 1 and reports[-1].psnr > 15


def test_progress_goes_forward():
    fitter = LatentGridFitter(EncoderConfig(size=900, epochs=3, model="latentgrid"))
    reports = []
    fitter.fit(task(moving(), on_progress=reports.append))
    epochs = [progress.epoch for progress in reports]
    assert epochs == sorted(epochs) and epochs[-1] == fitter.epochs
    assert all(progress.epoch <= progress.epochs for progress in reports)
    assert all(progress.remaining >= 0 for progress in reports)
    assert reports[0].bits is None and reports[-1].bits > 0


def test_code_lengths_are_those_of_the_tables():
    for index, count in ((12, 4), (16, 6), (24, 20)):
        table = cumulative(DistributionFamily.LAPLACE, index, -63, 63)
        lengths = log2(TOTAL) - np.log2(np.diff(table))[63 : 63 + count]
        # Frequencies are integers, at least 1.
        assert np.allclose(BITS[index, :count], lengths, atol=0.1)


def test_rdoq_chooses_the_cheapest_symbols():
    rng = np.random.default_rng(0)
    coefficients = rng.laplace(size=(1, 1, 20, 20), scale=1.5).astype(np.float32)
    scales = rng.integers(0, 40, 400)
    inputs, channels = np.zeros((400, INPUTS), np.float32), np.zeros(400, np.int64)
    quantiser = RdoQuantiser(SubbandLayout((20, 20), 0, 1), (0,), [coefficients], 0.134)
    symbols = quantiser(
        CodingPass(PlaneKind.LUMA, 0, coefficients.shape, np.arange(400), channels, inputs, scales)
    )
    values = np.arange(-40, 41)
    costs = (coefficients.ravel()[:, None] - values) ** 2 + 0.134 * BITS[scales][:, np.abs(values)]
    chosen = costs[np.arange(400), symbols + 40]
    assert np.allclose(chosen, costs.min(axis=1), atol=1e-5)
    assert quantiser.bits == pytest.approx(BITS[scales, np.abs(symbols)].sum(), rel=1e-5)


@pytest.mark.parametrize("height", [1.0, 8.0])
def test_children_count_in_favour_of_their_parent(height):
    layout = SubbandLayout((32, 32), 2, 1)
    config = LatentGridConfig.suited(size=(32, 32), frames=1, colour=ColourMode.YUV420)
    networks = {kind: default_network(kind, grid) for kind, grid in config.layouts.items()}
    networks[PlaneKind.LUMA] = default_network(PlaneKind.LUMA, layout)
    grids = LatentSymbols({**config.layouts, PlaneKind.LUMA: layout}, 1, networks)
    coefficients = [np.zeros((1, 1, *band.padded_size), np.float32) for band in layout.bands]
    parent_band, child_band = coefficients[1], coefficients[4]
    assert layout.bands[4].parent == 1
    parent_band[0, 0, 3, 5], child_band[0, 0, 7, 10] = -0.3, height
    quantiser = RdoQuantiser(layout, (0,), coefficients, 0.134)
    grids.code_band(config.temporal_layers[0], PlaneKind.LUMA, [3], quantiser)
    *_, first, _, _, second, _, _ = grids.symbols[PlaneKind.LUMA]
    # A child that costs more than it saves does not count.
    assert first[0, 0, 3, 5] == (-1 if height > 1 else 0)
    assert second[0, 0, 7, 10] == (height if height > 1 else 0)
    assert np.abs(first).sum() + np.abs(second).sum() == (1 + height if height > 1 else 0)


def test_training_of_context_networks_counts_their_weights():
    rng = np.random.default_rng(1)
    count = 20000
    layout = SubbandLayout((32, 32), 3, 1)
    default = default_network(PlaneKind.LUMA, layout)
    inputs = rng.integers(0, 100, (count, INPUTS)).astype(np.float32)
    inputs[:, 12:] = 0
    # One input determines the scale, unlike in the default network.
    symbols = np.rint(rng.laplace(size=count) * 2.0 ** (inputs[:, 9] / 20 - 2)).astype(np.int16)
    zeros = np.zeros(count, np.int64)

    def collect(chosen: slice) -> ContextSamples:
        samples = ContextSamples()
        none = zeros[chosen]
        coding_pass = CodingPass(PlaneKind.LUMA, 4, (1, 1, 1, 1), none, none, inputs[chosen], none)
        samples.add(coding_pass, symbols[chosen])
        return samples

    def cost(network) -> float:
        scales = network.scales(inputs, network.biases[np.full(count, 4), zeros])
        return float(BITS[scales, np.abs(symbols)].sum())

    generator = torch.Generator().manual_seed(0)
    fitted = fit_network(default, default, collect(slice(None)), steps=150, generator=generator)
    assert cost(fitted) < 0.9 * cost(default)
    # A few symbols are not worth a change of weights.
    few = fit_network(default, default, collect(slice(3)), steps=20, generator=generator)
    assert np.abs(flatten_weights(few) - flatten_weights(default)).sum() < 20
