"""Chooses the decoder of a network's frames."""

from __future__ import annotations

import torch

from nvcodec.models.base.video_model import VideoModel
from nvcodec.models.ngp.model import NGP
from nvcodec.models.ngp.point_synthesis import PointSynthesis
from nvcodec.models.stacks.inference import Synthesis
from nvcodec.models.stacks.model import StackModel


def synthesis(model: VideoModel, dtype: torch.dtype) -> Synthesis | PointSynthesis:
    """What decodes the frames of a model.

    Args:
        model: A fitted model, on the device to decode on.
        dtype: Type that what takes most of the time runs in.
    """
    if isinstance(model, NGP):
        return PointSynthesis(model, dtype)
    assert isinstance(model, StackModel)
    return Synthesis(model, dtype)
