"""The choice of the decoder that serves a fitted network."""

from __future__ import annotations

import torch

from nvcodec.models.base.video_model import VideoModel
from nvcodec.models.ngp.model import NGP
from nvcodec.models.ngp.point_synthesis import PointSynthesis
from nvcodec.models.stacks.inference import Synthesis
from nvcodec.models.stacks.model import StackModel


def synthesis(model: VideoModel, dtype: torch.dtype) -> Synthesis | PointSynthesis:
    """Return the decoder of a model's frames.

    Args:
        model: Fitted model, on the device to decode on.
        dtype: Type in which the convolutions or the perceptron are computed.
    """
    if isinstance(model, NGP):
        return PointSynthesis(model, dtype)
    assert isinstance(model, StackModel)
    return Synthesis(model, dtype)
