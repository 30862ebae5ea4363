"""The loop of a fit: stages, epochs and steps.

What a model computes, what a step looks at, how numbers are quantised and what is minimised are
elsewhere.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from math import ceil, isfinite, log10, prod

import torch
from torch import Tensor, nn

from nvcodec.fitting.interface import FitProgress
from nvcodec.fitting.network.batched_step import compute_step_alone, largest_batch
from nvcodec.fitting.network.batches import Batches
from nvcodec.fitting.network.divergence_guard import DivergenceGuard
from nvcodec.fitting.network.optimisers import Adam, Adan
from nvcodec.fitting.network.rate_control import RateController
from nvcodec.fitting.network.request import Fit, FitRequest
from nvcodec.fitting.network.schedule import LearningRateSchedule, StageClock
from nvcodec.fitting.network.stages import FloatStage, Group, QuantisedStage, Stage
from nvcodec.fitting.network.step import Step, StepFunction, autocast, compute_step

# The quantised stage starts from a fitted network: a lower peak, and hardly any warm-up.
_QUANTISED_RATE = 0.5
_QUANTISED_WARMUP = 0.05
# Nepers of the loss for being once the wanted size too large, when states are compared.
_EXCESS_PENALTY = 3.0


class FitLoop:
    """A fit in progress: the state that its stages share.

    Args:
        request: Network, frames and configuration of the fit.
        sizes: Target size in bits of each quantised stage, the largest first; None for a stage
            whose size follows from the configuration's rate weight.
    """

    def __init__(self, request: FitRequest, sizes: Sequence[float | None]) -> None:
        model, samples, config = request.model, request.samples, request.config
        self.model, self.sizes = model, sizes
        self.recipe = model.config.recipe
        self.previous_weights = request.previous_weights
        share = config.quantised_share * self.recipe.quantised
        quantised_epochs = max(1, ceil(config.epochs * share))
        self.float_epochs = config.epochs
        if request.previous_weights is not None:
            model.load(request.previous_weights)
            self.float_epochs = ceil(config.epochs * self.recipe.resumed)
        self.config = config
        self.device = next(model.parameters()).device
        # Of networks that are alike some may be predicted and others not.
        self.network = replace(model.config, predicted=False)
        self.values = self.network.parameters
        pixels, device = prod(self.network.size), self.device.type
        alone = largest_batch(type(self.network), config, pixels, device) == 1
        self.compute_step: StepFunction = (
            compute_step if alone else request.batched_step or compute_step_alone
        )
        self.control: RateController | None = None
        self.last = False  # of the stages
        self.seconds = request.seconds
        self.on_progress = request.on_progress
        self.order = torch.Generator().manual_seed(request.seed)
        self.batches = Batches(
            samples.to(self.device),
            None if request.valid_mask is None else request.valid_mask.to(self.device),
            model.config,
            config,
            self.order,
        )
        self.began = time.monotonic()
        self.epoch = 0
        self.recoveries = 0
        self.rate_scale = 1.0
        # A few frames tell how far from them a fit begins: its first outputs are about grey.
        some = self.batches.samples[:: max(1, len(samples) // 8)].float() / 255
        self.grey_error = float((some - 0.5).square().mean())
        self.quantised_epochs = quantised_epochs
        self.epochs = self.float_epochs + len(sizes) * self.quantised_epochs

    def run(self) -> list[Fit]:
        """All stages."""
        # The encoder's weights come from the seed too, without touching the global generator.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(torch.randint(2**31, (), generator=self.order)))
            encoder = self.model.fit_encoder()
        if encoder is not None:
            encoder.to(self.device)
        if self.config.compile_step:
            self.model.compile_for_fitting()
            if encoder is not None:
                encoder.compile(dynamic=False)
        float_psnr = self._float_stages(encoder)
        fits = []
        for left, size in zip(range(len(self.sizes), 0, -1), self.sizes, strict=True):
            self.last = left == 1
            stage = QuantisedStage(self.model, self.config, self.previous_weights)
            if size is not None:
                steps = self.batches.per_epoch * self.batches.passes
                self.control = RateController(stage, self.config, size, self.values, steps)
            schedule = LearningRateSchedule(
                _QUANTISED_RATE * self.recipe.learning_rate, _QUANTISED_WARMUP, 0.0
            )
            clock = self._stage_clock(self.quantised_epochs, 1 / left)
            psnr, bits = self._stage(stage, clock, schedule)
            fits.append(
                Fit(
                    tensors=stage.export(size),
                    float_psnr=float_psnr,
                    psnr=psnr,
                    bits=bits,
                    epochs=self.epoch,
                    recoveries=self.recoveries,
                )
            )
        return fits

    def _float_stages(self, encoder: nn.Module | None) -> float:
        """With the encoder, then without it; one schedule over both. PSNR at the end."""
        recipe, epochs = self.recipe, self.float_epochs
        schedule = LearningRateSchedule(recipe.learning_rate, recipe.warmup, recipe.warmup_start)
        psnr = float("nan")
        with_encoder = 0
        if encoder is not None:
            with_encoder = max(1, round(epochs * self.config.encoder_share))
            clock = self._stage_clock(with_encoder, with_encoder / self.epochs)
            part = schedule.part(0.0, with_encoder / epochs)
            psnr, _ = self._stage(FloatStage(self.model, encoder), clock, part)
            self._keep_latents(encoder)
        if with_encoder < epochs:
            rest = epochs - with_encoder
            clock = self._stage_clock(rest, rest / (self.epochs - with_encoder))
            part = schedule.part(with_encoder / epochs, 1.0)
            psnr, _ = self._stage(FloatStage(self.model, None), clock, part)
        return psnr

    def _stage_clock(self, epochs: int, share: float) -> StageClock:
        """The pace of a stage that may take a share of the time that is left."""
        left = None
        if self.seconds is not None:
            left = max(self.seconds - (time.monotonic() - self.began), 0.0) * share
        return StageClock(epochs * self.batches.per_epoch, left)

    def _stage(
        self, stage: Stage, clock: StageClock, schedule: LearningRateSchedule
    ) -> tuple[float, float]:
        """Run one stage; PSNR and estimated bits of its last epoch."""
        groups = stage.groups(clock.steps)
        peaks = [group.peak or schedule.peak for group in groups]
        parameters = [tensor for group in groups for tensor in group.parameters]
        optimiser = self._optimiser(groups)
        guard = DivergenceGuard(parameters, 2 * self.grey_error, self.rate_scale)
        psnr = bits = float("nan")
        while not clock.finished():
            if self.control and not self.control.settled(clock.fraction):
                guard.reset_best()
            totals = torch.zeros(3, device=self.device)
            batches = 0
            for index in self.batches.round():
                shape = schedule.at(clock.fraction) * guard.rate_scale
                for group, peak in zip(optimiser.param_groups, peaks, strict=True):
                    group["lr"] = shape * peak
                latest = self._step(stage, optimiser, parameters, index, clock)
                totals += latest
                batches += 1
                clock.step += 1
                if clock.finished():
                    break
            self.epoch += ceil(batches / self.batches.per_epoch)
            objective, error, size = (totals / batches).tolist()
            reached = -10 * log10(max(error, 1e-12)) if isfinite(error) else float("nan")
            if guard.check(objective, error, float(latest[1])):
                optimiser = self._optimiser(groups)
                self.recoveries += 1
            else:
                psnr, bits = reached, size
            stage.between_epochs()
            if self.control:
                self.control.calibrate(clock.fraction)
            self._report(stage.name, clock, reached, size)
        guard.finish()
        self.rate_scale = guard.rate_scale
        return psnr, bits

    def _step(
        self,
        stage: Stage,
        optimiser: Adam | Adan,
        parameters: list[Tensor],
        index: Tensor,
        clock: StageClock,
    ) -> Tensor:
        """One step; by how much it is to be judged, its squared error, and bits."""
        weight = self.control.rate_weight if self.control else self.config.rate_weight
        optimiser.zero_grad()
        found = self.compute_step(
            Step(self.network, stage, self.batches, index, weight / self.values)
        )
        torch.nn.utils.clip_grad_norm_(parameters, self.config.clip)
        optimiser.step()
        judged_objective, size = found.objective, found.bits
        if size is None:
            size = torch.zeros((), device=self.device)
        elif self.control:
            # The weight of the rate moves, so that only losses compare; what is above the size
            # is charged at more than the bits would fetch, for it must be taken off later.
            judged_objective = found.loss.log() + _EXCESS_PENALTY * self.control.excess(size)
            self.control.update(float(size), clock.fraction)
        return torch.stack([judged_objective, found.error, size])

    def _optimiser(self, groups: list[Group]) -> Adam | Adan:
        fresh = [{"params": group.parameters, "lr": 0.0} for group in groups]
        if self.recipe.optimiser == "adan":
            return Adan(fresh)
        return Adam(fresh, self.recipe.betas)

    @torch.no_grad()
    def _keep_latents(self, encoder: nn.Module) -> None:
        """Store what the encoder makes of every frame; from here on the latents are parameters."""
        (latent,) = self.model.latents.values()
        samples = self.batches.samples
        for index in torch.arange(len(samples)).split(self.batches.size):  # type: ignore[no-untyped-call]
            inputs = samples[index.to(self.device)].float() / 255
            with autocast(self.device):
                found = encoder(inputs)
            latent[index] = found.float()

    def _report(self, stage: str, clock: StageClock, psnr: float, bits: float) -> None:
        if self.on_progress is None:
            return
        elapsed = time.monotonic() - self.began
        remaining = elapsed / self.epoch * max(self.epochs - self.epoch, 0)
        if self.seconds is not None:
            remaining = min(remaining, max(self.seconds - elapsed, 0.0))
        if clock.finished() and self.last:
            remaining = 0.0
        self.on_progress(
            FitProgress(
                stage=stage,
                epoch=self.epoch,
                epochs=self.epochs,
                psnr=psnr,
                bits=bits if stage == "quantised" else None,
                seconds=elapsed,
                remaining=remaining,
            )
        )
