"""Tidying: memory that a crowd has left behind goes back to the system."""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress
from typing import Any

from twisted.internet.interfaces import IReactorTime

from tcplab.listener.policy import Policy

#: Seconds from a crowd to a look at what is left of it.
_INTERVAL = 1.0

#: So many are a crowd: what fewer leave behind is not worth the look.
_CROWD = 16


class HeapTrim(Policy):
    """
    Give memory back to the system, once most of a crowd have gone.

    malloc keeps what is free between two pieces that are not: of 500 peers that never read, 59 MiB
    stay for the next crowd, which may never come. At most once a second all of that is given back,
    where the C library is glibc.

    :param clock: keeps the time; ``None`` means the reactor of the first port.
    """

    def __init__(self, *, clock: IReactorTime | None = None) -> None:
        super().__init__(clock)
        self._call: Any = None
        self._came = 0

    def stopped(self) -> None:
        """Leave no timer behind."""
        self._came = 0
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def connectionAccepted(self, transport: object) -> None:
        """Count one more, and look what is left of them in a while."""
        self._came += 1
        if self._call is None:
            self._lookAgain()

    def _lookAgain(self) -> None:
        self._call = self.clock.callLater(_INTERVAL, self._look)

    def _look(self) -> None:
        self._call = None
        here = sum(len(listener.connections) for listener in self.listeners)
        gone = self._came - here
        if gone >= max(here, _CROWD):
            self._came = here
            if not here:
                gc.collect()  # with nobody here it is quick; faults leave circles behind
            trim()
        if here:
            self._lookAgain()


def trim() -> None:
    """Have malloc give back what is free: it keeps holes, of which 100 MiB take it 12 ms."""
    with suppress(OSError, AttributeError):  # no glibc
        ctypes.CDLL(None).malloc_trim(0)
