"""
Time that no step of the wall clock changes, for reactors.

Twisted's reactors take it from ``time.time()``: when that goes back an hour, every timer waits an
hour longer. Here it counts from the epoch as well, by the wall clock of the start, and goes on by
CLOCK_MONOTONIC. What prints dates of it (twisted.web does) prints right ones until a step.
"""

from __future__ import annotations

import time

from twisted.internet import pollreactor
from twisted.internet.main import installReactor

_EPOCH = time.time() - time.monotonic()


class MonotonicTime:
    """A reactor whose seconds nothing sets."""

    @staticmethod
    def seconds() -> float:
        """Return the seconds since the epoch, but for steps of the wall clock since the start."""
        return _EPOCH + time.monotonic()


class PollReactor(MonotonicTime, pollreactor.PollReactor):
    """Twisted's poll reactor: for one connection, and where there is no epoll."""


def install() -> None:
    """Install it as the global reactor."""
    installReactor(PollReactor())
