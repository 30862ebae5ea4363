"""Linear probes of what a latent says of its cell, and latents of networks of a video's own.

A probe is ridge regression onto the classes, each class weighing the same. It is trained on some
videos and tested on others, or on some steps of a video and tested on the steps between.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.harness import record
from benchmarks.procedural.scenes import Scenes
from nvcodec.config import FitConfig
from nvcodec.fitting.network.fit import fit
from nvcodec.fitting.network.request import FitRequest
from nvcodec.media import ColourMode
from nvcodec.models import build
from nvcodec.models.hnerv.config import HNeRVConfig
from nvcodec.models.tokenizer.layout import SPACE_STRIDE, TIME_STRIDE
from nvcodec.tokenizer.token_ids import LEVELS

CLASSES = {"luma": 4, "colour": 3, "direction": 4}
"""Quarters of the cells; red, green or blue above the others; left, right, up, down."""
NONE = -1
"""The class of a cell that has none: grey, or not moving one way."""
_COARSE = SPACE_STRIDE // 4  # cells of `Scenes.motion`
_MOVING, _ONE_WAY = 0.5, 2.0  # samples a frame, and how much more along one axis than the other
_COLOURFUL = 0.03
_FOLDS = 6
_RIDGE = 1e-2  # of the mean eigenvalue

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Own:
    """Latents of a network that was fitted to one video.

    Attributes:
        latents: Float, shape (T, C, rows, columns), one per 32x32 samples as tokens are.
        psnr: Of the fit, dB.
    """

    latents: Tensor
    psnr: float


def own_latents(pictures: Tensor, epochs: int, seed: int) -> Own:
    """Fit HNeRV, its encoder included, to a short video; an earlier run's fit is taken over.

    Args:
        pictures: uint8, shape (T, 3, H, W), sides multiples of 32.
        epochs: Of the float stage.
        seed: Of the network's beginning and of the order of frames.
    """
    frames, _, height, width = pictures.shape
    config = HNeRVConfig(
        size=(height, width),
        frames=frames,
        colour=ColourMode.RGB,
        strides=(4, 4, 2),
        kernels=(1, 3, 5),
        widths=(20, 17, 14, 12),
    )
    how = FitConfig(epochs=epochs, quantised_share=0.05)
    settings = hashlib.sha256(repr((config, how, seed)).encode())
    settings.update(pictures.contiguous().numpy().tobytes())
    kept = record.FILES / "own_latents" / f"{settings.hexdigest()[:32]}.pt"
    if kept.is_file():
        return Own(**torch.load(kept, weights_only=True))
    torch.manual_seed(seed)
    model = build("hnerv", config)
    samples = pictures.contiguous(memory_format=torch.channels_last)
    outcome = fit(FitRequest(model=model, samples=samples, config=how, seed=seed))
    own = Own(model.latents["embedding"].detach().float(), outcome.float_psnr)
    kept.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"latents": own.latents, "psnr": own.psnr}, kept)
    return own


def own_features(own: Own) -> FloatArray:
    """What a probe is given of a step: the latents of its frames and of the one before.

    Returns:
        Shape (steps - 1, rows, columns, 5 C); the first step, a single frame, is left out.
    """
    steps = (len(own.latents) - 1) // TIME_STRIDE
    seen = torch.arange(TIME_STRIDE + 1) + TIME_STRIDE * torch.arange(steps).unsqueeze(1)
    return own.latents[seen].flatten(1, 2).movedim(1, -1).double().numpy()


def token_features(digits: npt.NDArray[np.uint8]) -> FloatArray:
    """Digits one-hot, 39 numbers a token; of (t, h, w, 6) all steps but the first."""
    parts = [np.eye(size)[digits[1:, ..., k]] for k, size in enumerate(LEVELS)]
    return np.concatenate(parts, -1)


def labels(scenes: Scenes) -> dict[str, IntArray]:
    """The classes of every cell and step but the first; of luma for now the value, times 255.

    Returns:
        Of each property an array of shape (N, steps - 1, rows, columns).
    """
    count, frames = scenes.video.shape[:2]
    cells = F.avg_pool2d(scenes.video.flatten(0, 1), SPACE_STRIDE)
    means = _by_step(cells.view(count, frames, *cells.shape[1:]))
    luma = (means * torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(2)
    ranked, hue = means.sort(2, descending=True)
    hue = torch.where(ranked[:, :, 0] - ranked[:, :, 1] > _COLOURFUL, hue[:, :, 0], NONE)
    moved = F.avg_pool2d(scenes.motion.flatten(0, 1), _COARSE)
    motion = _by_step(moved.view(count, frames, *moved.shape[1:]))
    x, y = motion.unbind(2)
    along, up = (x > 0).long(), 2 + (y > 0).long()
    way = torch.where(x.abs() > y.abs(), along, up)
    most, least = motion.abs().amax(2), motion.abs().amin(2)
    way = torch.where((most > _MOVING) & (most > _ONE_WAY * least), way, NONE)
    return {
        "luma": (luma * 255).round().long().numpy(),
        "colour": hue.numpy(),
        "direction": way.numpy(),
    }


def quarters(luma: IntArray, known: IntArray) -> IntArray:
    """Classes of luma, by the quartiles of what is known."""
    return np.searchsorted(np.quantile(known, [0.25, 0.5, 0.75]), luma).astype(np.int64)


def _by_step(values: Tensor) -> Tensor:
    """Means over the four frames of each step but the first: (N, T, ...) to (N, steps - 1, ...)."""
    count, frames, *rest = values.shape
    return values[:, 1:].reshape(count, (frames - 1) // TIME_STRIDE, TIME_STRIDE, *rest).mean(2)


def probed(features: FloatArray, classes: IntArray, others: FloatArray, count: int) -> IntArray:
    """Train a probe and ask it.

    Args:
        features: Shape (n, C).
        classes: Shape (n,), 0 to `count` - 1, or `NONE` for what is not to be used.
        others: What it is asked about, shape (m, C).
        count: Of the classes.

    Returns:
        Its answers, shape (m,).
    """
    features, classes = features[classes != NONE], classes[classes != NONE]
    frequent = np.bincount(classes, minlength=count)
    weights = 1 / frequent[classes]
    weights /= weights.sum()
    middle = weights @ features
    scale = np.sqrt(weights @ (features - middle) ** 2) + 1e-9
    x, wanted = (features - middle) / scale, np.eye(count)[classes]
    present = frequent > 0
    base = present / present.sum()
    covariance = (x * weights[:, None]).T @ x
    covariance += _RIDGE * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    slopes = np.linalg.solve(
        covariance + 1e-9 * np.eye(len(covariance)), (x * weights[:, None]).T @ (wanted - base)
    )
    answers = (others - middle) / scale @ slopes + np.where(present, base, -1e9)
    return answers.argmax(1)


def balanced(answers: IntArray, classes: IntArray) -> float:
    """Share of right answers, each class weighing the same; cells without class left out."""
    there = np.unique(classes[classes != NONE])
    return float(np.mean([(answers[classes == one] == one).mean() for one in there]))


def across(
    train: FloatArray,
    trained: Mapping[str, IntArray],
    test: FloatArray,
    tested: Mapping[str, IntArray],
) -> dict[str, float]:
    """Accuracy on other videos; features have shape (N, steps, rows, columns, C)."""
    return {
        name: balanced(_answers(train, trained[name], test, count), tested[name])
        for name, count in CLASSES.items()
    }


def folded(features: FloatArray, classes: Mapping[str, IntArray]) -> dict[str, float]:
    """Accuracy on other videos: each sixth is asked about what the rest was trained on."""
    found: dict[str, float] = {}
    for name, count in CLASSES.items():
        answers = np.full(classes[name].shape, NONE)
        for fold in range(min(_FOLDS, len(features))):
            asked = np.arange(len(features)) % _FOLDS == fold
            answers[asked] = _answers(
                features[~asked], classes[name][~asked], features[asked], count
            )
        found[name] = balanced(answers, classes[name])
    return found


def _answers(train: FloatArray, trained: IntArray, test: FloatArray, count: int) -> IntArray:
    width = train.shape[-1]
    found = probed(train.reshape(-1, width), trained.ravel(), test.reshape(-1, width), count)
    return found.reshape(test.shape[:-1])


def within(features: FloatArray, classes: Mapping[str, IntArray]) -> dict[str, float]:
    """Accuracy of probes of a video each: trained on every other step, tested on the rest."""
    found: dict[str, float] = {}
    for name, count in CLASSES.items():
        answers, truth = [], []
        for video, known in zip(features, classes[name], strict=True):
            odd, even = known[1::2].ravel(), known[::2].ravel()
            if (even != NONE).any():
                width = video.shape[-1]
                asked = video[1::2].reshape(-1, width)
                answers.append(probed(video[::2].reshape(-1, width), even, asked, count))
                truth.append(odd)
        found[name] = balanced(np.concatenate(answers), np.concatenate(truth))
    return found


def guessed(classes: Mapping[str, IntArray]) -> dict[str, float]:
    """Accuracy of guessing what is most frequent in every other step of a video in the rest."""
    found: dict[str, float] = {}
    for name, count in CLASSES.items():
        answers, truth = [], []
        for known in classes[name]:
            odd, even = known[1::2].ravel(), known[::2].ravel()
            if (even != NONE).any():
                most = np.bincount(even[even != NONE], minlength=count).argmax()
                answers.append(np.full(odd.shape, most))
                truth.append(odd)
        found[name] = balanced(np.concatenate(answers), np.concatenate(truth))
    return found


def standardised(features: Sequence[FloatArray]) -> list[FloatArray]:
    """Every video's features with mean 0 and variance 1, channel by channel."""
    axes = (0, 1, 2)
    return [(one - one.mean(axes)) / (one.std(axes) + 1e-9) for one in features]
