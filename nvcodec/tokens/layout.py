"""Which frames a token stands for; see `nvcodec.models.token_layout`."""

from nvcodec.models.token_layout import SPACE_STRIDE, TIME_STRIDE, frames_of, grid_of, steps_of

__all__ = ["SPACE_STRIDE", "TIME_STRIDE", "frames_of", "grid_of", "steps_of"]
