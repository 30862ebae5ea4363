"""Locks in a forked process.

A fork copies locks as they are, but only the thread that forked goes on in the child. A lock that
another thread held at that moment would therefore stay locked for ever.
"""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakSet

if TYPE_CHECKING:
    from functools import cached_property as cached_property  # noqa: PLC0414 - handed on
else:

    class cached_property(functools.cached_property):  # noqa: N801 - replaces one of this name
        """The `cached_property` of Python 3.12 and later, also before: without a lock.

        The lock of earlier versions is one for all objects of a class, and cannot be renewed. Threads
        that need a value at the same time may each compute it.
        """

        def __get__(self, instance: object, owner: type | None = None) -> Any:
            if instance is None:
                return self
            return instance.__dict__.setdefault(self.attrname, self.func(instance))


class LockOwner(Protocol):
    """An object that renews its locks, and what they protect, in a forked process."""

    def after_fork(self) -> None:
        """Make new locks, and drop state that another thread may have left half-changed."""
        ...


_owners: WeakSet[LockOwner] = WeakSet()


def renew_after_fork(owner: LockOwner) -> None:
    """Call `owner.after_fork()` in every process that is forked from this one.

    Args:
        owner: Object with locks; it is not kept alive.
    """
    _owners.add(owner)


class Holdable(Protocol):
    """A lock of the `threading` module."""

    def acquire(self) -> bool:
        """Wait for the lock and take it."""
        ...

    def release(self) -> None:
        """Give the lock back."""
        ...


def hold_over_fork(lock: Holdable) -> None:
    """Take a lock before every fork, so that no other thread holds it then, and release it after.

    For locks that no thread holds for long. What a lock protects is whole in the child.

    Args:
        lock: Lock of a module, which lives as long as the process.
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release
        )


def _renew_all() -> None:
    for owner in list(_owners):
        owner.after_fork()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_renew_all)
