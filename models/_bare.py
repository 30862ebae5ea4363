from __future__ import annotations
from dataclasses import dataclass
from nvcodec.media import ColourMode
@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    size: tuple[int, int]
    frames: int
    colour: ColourMode
    @property
    def native_size(self): return self.colour.native_size(self.size)
