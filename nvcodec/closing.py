"""Base class of objects that hold files open and close them at the end of a `with` block."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self


class Closing:
    """Context manager that calls `close` at the end of the block, also after an error."""

    def close(self) -> None:
        """Release what is open."""
        raise NotImplementedError

    def _close_after_error(self) -> None:
        """Release what is open after the block raised; calls `close` unless overridden."""
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._close_after_error()
