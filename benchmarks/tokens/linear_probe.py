"""Linear probes of the contents of a latent's cell, and latents of a network fitted to one video.

A probe is ridge regression onto the classes, with equal weight for each class. It is trained on
some videos and tested on others, or trained on some steps of a video and tested on those between.
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
"""Number of classes by property: quartiles of luma; red, green or blue; left, right, up or down."""
NONE = -1
"""The class of a cell without one: grey, or without motion along an axis."""
_COARSE = SPACE_STRIDE // 4  # Side of a cell in the 4x4 samples of `Scenes.motion`.
_MOVING, _ONE_WAY = 0.5, 2.0  # Least samples per frame, and least ratio between the axes.
_COLOURFUL = 0.03
_FOLDS = 6
_RIDGE = 1e-2  # Share of the mean eigenvalue.

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class OwnLatents:
    """Latents of a network that was fitted to one video.

    Attributes:
        latents: Float, shape (T, C, rows, columns), one per 32x32 samples, like tokens.
        psnr: PSNR of the fit in dB.
    """

    latents: Tensor
    psnr: float


def own_latents(pictures: Tensor, epochs: int, seed: int) -> OwnLatents:
    """Fit HNeRV with its encoder to a short video, or read the fit of an earlier run.

    Args:
        pictures: uint8, shape (T, 3, H, W), sides multiples of 32.
        epochs: Epochs of the float stage.
        seed: Seed of the initial weights and of the order of the frames.
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
    fit_config = FitConfig(epochs=epochs, quantised_share=0.05)
    settings = hashlib.sha256(repr((config, fit_config, seed)).encode())
    settings.update(pictures.contiguous().numpy().tobytes())
    cache = record.FILES / "own_latents" / f"{settings.hexdigest()[:32]}.pt"
    if cache.is_file():
        return OwnLatents(**torch.load(cache, weights_only=True))
    torch.manual_seed(seed)
    model = build("hnerv", config)
    samples = pictures.contiguous(memory_format=torch.channels_last)
    outcome = fit(FitRequest(model=model, samples=samples, config=fit_config, seed=seed))
    own = OwnLatents(model.latents["embedding"].detach().float(), outcome.float_psnr)
    cache.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"latents": own.latents, "psnr": own.psnr}, cache)
    return own


def own_features(own: OwnLatents) -> FloatArray:
    """Return the features of every step: the latents of its frames and of the frame before.

    Args:
        own: Latents of a video.

    Returns:
        Shape (steps - 1, rows, columns, 5 C); the first step, a single frame, is left out.
    """
    steps = (len(own.latents) - 1) // TIME_STRIDE
    frames_of_steps = torch.arange(TIME_STRIDE + 1) + TIME_STRIDE * torch.arange(steps).unsqueeze(1)
    return own.latents[frames_of_steps].flatten(1, 2).movedim(1, -1).double().numpy()


def token_features(fsq_indices: npt.NDArray[np.uint8]) -> FloatArray:
    """Return FSQ indices as one-hot features, 39 numbers per token.

    Args:
        fsq_indices: Shape (t, h, w, 6); the first step is left out.
    """
    parts = [np.eye(size)[fsq_indices[1:, ..., k]] for k, size in enumerate(LEVELS)]
    return np.concatenate(parts, -1)


def labels(scenes: Scenes) -> dict[str, IntArray]:
    """Return the classes of every cell and step but the first; for luma the mean value, 0 to 255.

    Args:
        scenes: Scenes of a size that is a multiple of 32.

    Returns:
        An array of shape (N, steps - 1, rows, columns) for each property.
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
    direction = torch.where(x.abs() > y.abs(), along, up)
    most, least = motion.abs().amax(2), motion.abs().amin(2)
    direction = torch.where((most > _MOVING) & (most > _ONE_WAY * least), direction, NONE)
    return {
        "luma": (luma * 255).round().long().numpy(),
        "colour": hue.numpy(),
        "direction": direction.numpy(),
    }


def quarters(luma: IntArray, training_luma: IntArray) -> IntArray:
    """Return classes of luma by the quartiles of the luma for training."""
    return np.searchsorted(np.quantile(training_luma, [0.25, 0.5, 0.75]), luma).astype(np.int64)


def _by_step(values: Tensor) -> Tensor:
    """Return means over the four frames of each step but the first.

    Args:
        values: Shape (N, T, ...).

    Returns:
        Shape (N, steps - 1, ...).
    """
    count, frames, *rest = values.shape
    return values[:, 1:].reshape(count, (frames - 1) // TIME_STRIDE, TIME_STRIDE, *rest).mean(2)


def classify(features: FloatArray, classes: IntArray, queries: FloatArray, count: int) -> IntArray:
    """Train a probe and classify other features with it.

    Args:
        features: Features for training, shape (n, C).
        classes: Their classes, shape (n,), 0 to `count` - 1, or `NONE` to leave them out.
        queries: Features to classify, shape (m, C).
        count: Number of classes.

    Returns:
        Classes of the queries, shape (m,).
    """
    features, classes = features[classes != NONE], classes[classes != NONE]
    frequent = np.bincount(classes, minlength=count)
    weights = 1 / frequent[classes]
    weights /= weights.sum()
    centre = weights @ features
    scale = np.sqrt(weights @ (features - centre) ** 2) + 1e-9
    x, targets = (features - centre) / scale, np.eye(count)[classes]
    present = frequent > 0
    prior = present / present.sum()
    covariance = (x * weights[:, None]).T @ x
    covariance += _RIDGE * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    slopes = np.linalg.solve(
        covariance + 1e-9 * np.eye(len(covariance)), (x * weights[:, None]).T @ (targets - prior)
    )
    answers = (queries - centre) / scale @ slopes + np.where(present, prior, -1e9)
    return answers.argmax(1)


def balanced_accuracy(answers: IntArray, classes: IntArray) -> float:
    """Return the share of right answers with equal weight for each class, without cells of no class."""
    present_classes = np.unique(classes[classes != NONE])
    return float(np.mean([(answers[classes == each] == each).mean() for each in present_classes]))


def across(
    train: FloatArray,
    trained: Mapping[str, IntArray],
    test: FloatArray,
    tested: Mapping[str, IntArray],
) -> dict[str, float]:
    """Return the accuracy of probes on other videos, by property.

    Args:
        train: Features for training, shape (N, steps, rows, columns, C).
        trained: Their classes, shape (N, steps, rows, columns), by property.
        test: Features for the test.
        tested: Their classes.
    """
    return {
        name: balanced_accuracy(_answers(train, trained[name], test, count), tested[name])
        for name, count in CLASSES.items()
    }


def cross_validated(features: FloatArray, classes: Mapping[str, IntArray]) -> dict[str, float]:
    """Return the accuracy on other videos, by property: each sixth is tested on the rest's probe."""
    accuracies: dict[str, float] = {}
    for name, count in CLASSES.items():
        answers = np.full(classes[name].shape, NONE)
        for fold in range(min(_FOLDS, len(features))):
            asked = np.arange(len(features)) % _FOLDS == fold
            answers[asked] = _answers(
                features[~asked], classes[name][~asked], features[asked], count
            )
        accuracies[name] = balanced_accuracy(answers, classes[name])
    return accuracies


def _answers(train: FloatArray, trained: IntArray, test: FloatArray, count: int) -> IntArray:
    width = train.shape[-1]
    answers = classify(train.reshape(-1, width), trained.ravel(), test.reshape(-1, width), count)
    return answers.reshape(test.shape[:-1])


def within(features: FloatArray, classes: Mapping[str, IntArray]) -> dict[str, float]:
    """Return the accuracy of probes of single videos: trained on even steps, tested on odd ones."""
    accuracies: dict[str, float] = {}
    for name, count in CLASSES.items():
        answers, truth = [], []
        for video, classes_of_video in zip(features, classes[name], strict=True):
            odd, even = classes_of_video[1::2].ravel(), classes_of_video[::2].ravel()
            if (even != NONE).any():
                width = video.shape[-1]
                asked = video[1::2].reshape(-1, width)
                answers.append(classify(video[::2].reshape(-1, width), even, asked, count))
                truth.append(odd)
        accuracies[name] = balanced_accuracy(np.concatenate(answers), np.concatenate(truth))
    return accuracies


def majority_accuracy(classes: Mapping[str, IntArray]) -> dict[str, float]:
    """Return the accuracy of guessing the most frequent class of a video's even steps in odd ones."""
    accuracies: dict[str, float] = {}
    for name, count in CLASSES.items():
        answers, truth = [], []
        for classes_of_video in classes[name]:
            odd, even = classes_of_video[1::2].ravel(), classes_of_video[::2].ravel()
            if (even != NONE).any():
                most = np.bincount(even[even != NONE], minlength=count).argmax()
                answers.append(np.full(odd.shape, most))
                truth.append(odd)
        accuracies[name] = balanced_accuracy(np.concatenate(answers), np.concatenate(truth))
    return accuracies


def standardised(features: Sequence[FloatArray]) -> list[FloatArray]:
    """Return every video's features with mean 0 and variance 1 in each channel."""
    axes = (0, 1, 2)
    return [(video - video.mean(axes)) / (video.std(axes) + 1e-9) for video in features]
