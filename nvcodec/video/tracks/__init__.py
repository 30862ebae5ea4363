"""Audio and subtitle tracks of a source: their packets and codec parameters."""
