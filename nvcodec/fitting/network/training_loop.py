"""The training loop of a fit: its stages, their epochs and steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import ceil, isfinite, log10, prod

import torch
from torch import Tensor, nn

from nvcodec.fitting.network.batched_step import compute_step_alone, largest_batch
from nvcodec.fitting.network.batches import Batches
from nvcodec.fitting.network.divergence_guard import DivergenceGuard
from nvcodec.fitting.network.optimisers import Adam, Adan
from nvcodec.fitting.network.progress_report import ProgressReporter
from nvcodec.fitting.network.rate_control import RateController
from nvcodec.fitting.network.request import Fit, FitRequest
from nvcodec.fitting.network.schedule import LearningRateSchedule, StageClock
from nvcodec.fitting.network.stages import FloatStage, ParameterGroup, QuantisedStage, Stage
from nvcodec.fitting.network.step import Step, StepFunction, autocast, compute_step
from nvcodec.host.settings import own_random_numbers

# The quantised stage starts from a fitted network, so it has a lower peak rate and a short warm-up.
_QUANTISED_RATE = 0.5
_QUANTISED_WARMUP = 0.05
# Nepers of the loss for an excess of once the target size, when states are compared.
_EXCESS_PENALTY = 3.0


class FitLoop:
    """A fit in progress: the state that its stages share.

    Args:
        request: Network, frames and configuration of the fit.
        sizes: Target size in bits of each quantised stage, the largest first; None for a stage
            whose size follows from the configuration's rate weight.

    Attributes:
        model: Network that is fitted.
        reporter: Counter and clock of the epochs.
    """

    def __init__(self, request: FitRequest, sizes: Sequence[float | None]) -> None:
        model, samples, config = request.model, request.samples, request.config
        self.model, self.sizes = model, sizes
        self.recipe = model.config.recipe
        self.previous_weights = request.previous_weights
        share = config.quantised_share * self.recipe.quantised
        self.quantised_epochs = max(1, ceil(config.epochs * share))
        self.float_epochs = config.epochs
        if request.previous_weights is not None:
            model.load(request.previous_weights)
            self.float_epochs = ceil(config.epochs * self.recipe.resumed)
        self.config = config
        self.device = next(model.parameters()).device
        # Networks with equal configurations are batched, whether they are predicted or not.
        self.network = replace(model.config, predicted=False)
        self.values = self.network.parameters
        pixels, device = prod(self.network.size), self.device.type
        alone = largest_batch(type(self.network), config, pixels, device) == 1
        self.compute_step: StepFunction = (
            compute_step if alone else request.batched_step or compute_step_alone
        )
        self.rate_controller: RateController | None = None
        self.in_last_stage = False
        self.generator = torch.Generator().manual_seed(request.seed)
        self.batches = Batches(
            samples.to(self.device),
            None if request.valid_mask is None else request.valid_mask.to(self.device),
            model.config,
            config,
            self.generator,
        )
        epochs = self.float_epochs + len(sizes) * self.quantised_epochs
        self.reporter = ProgressReporter(epochs, request.seconds, request.on_progress)
        self.recoveries = 0
        self.rate_scale = 1.0
        # A fit begins with grey outputs. A few frames tell the error of those.
        examples = self.batches.samples[:: max(1, len(samples) // 8)].float() / 255
        self.grey_error = float((examples - 0.5).square().mean())

    def run(self) -> list[Fit]:
        """Run the float stages, and a quantised stage for each size.

        Returns:
            Result for each size, in the order of the sizes.
        """
        # The encoder's weights come from the seed too, without touching the global generator.
        with own_random_numbers(int(torch.randint(2**31, (), generator=self.generator))):
            encoder = self.model.fit_encoder()
        if encoder is not None:
            encoder.to(self.device)
        if self.config.compile_step:
            self.model.compile_for_fitting()
            if encoder is not None:
                encoder.compile(dynamic=False)
        float_psnr = self._float_stages(encoder)
        fits = []
        for stages_left, size in zip(range(len(self.sizes), 0, -1), self.sizes, strict=True):
            self.in_last_stage = stages_left == 1
            stage = QuantisedStage(self.model, self.config, self.previous_weights)
            if size is not None:
                steps = self.batches.per_epoch * self.batches.epochs_per_round
                self.rate_controller = RateController(stage, self.config, size, self.values, steps)
            schedule = LearningRateSchedule(
                _QUANTISED_RATE * self.recipe.learning_rate, _QUANTISED_WARMUP, 0.0
            )
            clock = self._stage_clock(self.quantised_epochs, 1 / stages_left)
            psnr, bits = self._stage(stage, clock, schedule)
            fits.append(
                Fit(
                    tensors=stage.export(size),
                    float_psnr=float_psnr,
                    psnr=psnr,
                    bits=bits,
                    epochs=self.reporter.epoch,
                    recoveries=self.recoveries,
                )
            )
        return fits

    def _float_stages(self, encoder: nn.Module | None) -> float:
        """Run a stage with the encoder, then one without it, on one learning rate schedule.

        Args:
            encoder: Encoder of the latents; None to run the second stage only.

        Returns:
            PSNR of the last epoch in dB.
        """
        recipe, epochs = self.recipe, self.float_epochs
        schedule = LearningRateSchedule(recipe.learning_rate, recipe.warmup, recipe.warmup_start)
        psnr = float("nan")
        encoder_epochs = 0
        if encoder is not None:
            encoder_epochs = max(1, round(epochs * self.config.encoder_share))
            clock = self._stage_clock(encoder_epochs, encoder_epochs / self.reporter.epochs)
            part = schedule.part(0.0, encoder_epochs / epochs)
            psnr, _ = self._stage(FloatStage(self.model, encoder), clock, part)
            self._store_latents(encoder)
        if encoder_epochs < epochs:
            rest = epochs - encoder_epochs
            clock = self._stage_clock(rest, rest / (self.reporter.epochs - encoder_epochs))
            part = schedule.part(encoder_epochs / epochs, 1.0)
            psnr, _ = self._stage(FloatStage(self.model, None), clock, part)
        return psnr

    def _stage_clock(self, epochs: int, share: float) -> StageClock:
        """Return the clock of a stage.

        Args:
            epochs: Planned number of epochs.
            share: Share of the remaining time that the stage may take.
        """
        left = self.reporter.time_left
        return StageClock(epochs * self.batches.per_epoch, None if left is None else left * share)

    def _stage(
        self, stage: Stage, clock: StageClock, schedule: LearningRateSchedule
    ) -> tuple[float, float]:
        """Run one stage, and return the PSNR and the estimated bits of its last good epoch."""
        groups = stage.groups(clock.steps)
        peaks = [group.peak or schedule.peak for group in groups]
        parameters = [tensor for group in groups for tensor in group.parameters]
        optimiser = self._optimiser(groups)
        guard = DivergenceGuard(parameters, 2 * self.grey_error, self.rate_scale)
        psnr = bits = float("nan")
        while not clock.finished():
            if self.rate_controller and not self.rate_controller.settled(clock.fraction):
                guard.reset_best()
            totals = torch.zeros(3, device=self.device)
            batches = 0
            for index in self.batches.round():
                rate = schedule.at(clock.fraction) * guard.rate_scale
                for group, peak in zip(optimiser.param_groups, peaks, strict=True):
                    group["lr"] = rate * peak
                latest = self._step(stage, optimiser, parameters, index, clock)
                totals += latest
                batches += 1
                clock.step += 1
                if clock.finished():
                    break
            self.reporter.epoch += ceil(batches / self.batches.per_epoch)
            objective, error, size = (totals / batches).tolist()
            epoch_psnr = -10 * log10(max(error, 1e-12)) if isfinite(error) else float("nan")
            if guard.check(objective, error, float(latest[1])):
                optimiser = self._optimiser(groups)
                self.recoveries += 1
            else:
                psnr, bits = epoch_psnr, size
            stage.between_epochs()
            if self.rate_controller:
                self.rate_controller.calibrate(clock.fraction)
            self.reporter.report(
                stage.name,
                epoch_psnr,
                size if stage.name == "quantised" else None,
                finished=clock.finished() and self.in_last_stage,
            )
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
        """Take one optimiser step.

        Returns:
            The objective that ranks states, the squared error and the estimated bits, shape (3,).
        """
        controller = self.rate_controller
        weight = controller.rate_weight if controller else self.config.rate_weight
        optimiser.zero_grad()
        result = self.compute_step(
            Step(self.network, stage, self.batches, index, weight / self.values)
        )
        torch.nn.utils.clip_grad_norm_(parameters, self.config.clip)
        optimiser.step()
        objective, size = result.objective, result.bits
        if size is None:
            size = torch.zeros((), device=self.device)
        elif controller:
            # The weight of the rate changes, so objectives do not compare, but losses do. Bits
            # above the target cost more than they gain in the loss, because they must be saved
            # later.
            objective = result.loss.log() + _EXCESS_PENALTY * controller.excess(size)
            controller.update(float(size), clock.fraction)
        return torch.stack([objective, result.error, size])

    def _optimiser(self, groups: list[ParameterGroup]) -> Adam | Adan:
        """Return a new optimiser of the recipe's kind."""
        param_groups = [{"params": group.parameters, "lr": 0.0} for group in groups]
        if self.recipe.optimiser == "adan":
            return Adan(param_groups)
        return Adam(param_groups, self.recipe.betas)

    @torch.no_grad()
    def _store_latents(self, encoder: nn.Module) -> None:
        """Store the encoder's latents of all frames in the model, where they become parameters."""
        (stored,) = self.model.latents.values()
        samples = self.batches.samples
        for index in torch.arange(len(samples)).split(self.batches.size):  # type: ignore[no-untyped-call]
            inputs = samples[index.to(self.device)].float() / 255
            with autocast(self.device):
                latents = encoder(inputs)
            stored[index] = latents.float()
