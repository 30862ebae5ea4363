"""Output paths: what they name, the unfinished file beside them, its lock, and its publication."""
