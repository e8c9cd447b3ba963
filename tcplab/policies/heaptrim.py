"""Return free heap memory to the system after many connections have closed."""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress

from twisted.internet.interfaces import IReactorTime

from tcplab.listener.policy import Policy
from tcplab.policies.periodiccheck import PeriodicCheck

#: Seconds between two checks.
_INTERVAL = 1.0

#: Closed connections that are worth a trim: fewer leave too little behind.
_MIN_CLOSED = 16


class HeapTrim(Policy):
    """
    Return free memory to the system once most connections of a burst have closed.

    malloc keeps free memory that lies between two pieces in use: 500 peers that never read leave
    59 MiB behind, until the next burst. At most once a second all of it is returned, where the C
    library is glibc.

    :param clock: keeps the time; ``None`` means the reactor of the first port.
    """

    def __init__(self, *, clock: IReactorTime | None = None) -> None:
        super().__init__(clock)
        self._accepted = 0
        self._checks = PeriodicCheck(self, _INTERVAL, self._check)

    def connectionAccepted(self, transport: object) -> None:
        """Count one more connection."""
        self._accepted += 1
        if not self._checks.running:
            self._checks.start()

    def stopped(self) -> None:
        """Cancel the timer."""
        self._accepted = 0
        self._checks.stop()

    def _check(self) -> float | None:
        connections = sum(len(listener.connections) for listener in self.listeners)
        closed = self._accepted - connections
        if closed >= max(connections, _MIN_CLOSED):
            self._accepted = connections
            if not connections:
                gc.collect()  # quick now, and faults leave reference cycles behind
            trim()
        return _INTERVAL if connections else None


def trim() -> None:
    """Return the free memory of malloc to the system; 100 MiB of holes take 12 ms."""
    with suppress(OSError, AttributeError):  # no glibc
        ctypes.CDLL(None).malloc_trim(0)
