"""The listen queue: connections that the kernel loses because it is full, in the log."""

from __future__ import annotations

import math
from contextlib import suppress

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from tcplab.listener.policy import Policy, PolicyListener
from tcplab.policies.periodiccheck import PeriodicCheck

log = Logger("tcplab.policies.listenqueue")

#: The kernel's counters, of the network namespace of this process.
NETSTAT = "/proc/self/net/netstat"

#: Seconds from one look at the counters to the next, which takes about 0.1 ms.
_INTERVAL = 10.0

#: Seconds between two lines.
_MINUTE = 60.0


class ListenQueueLog(Policy):
    """
    Log how many connections the kernel has lost because a listen queue was full, once a minute.

    Linux answers further clients with SYN cookies. A client may believe that it is connected when
    the kernel has forgotten it. No server ever sees such a connection.

    **Limit:** the counters are those of every program in the same network namespace. Without them,
    on another system, nothing is logged.
    """

    def __init__(self, clock: IReactorTime | None = None) -> None:
        super().__init__(clock)
        self._checks = PeriodicCheck(self, _INTERVAL, self._check)
        self._logged = -math.inf
        self._before: tuple[int, int] | None = None

    def portAdded(self, listener: PolicyListener) -> None:
        """Read the counters, and look at them from time to time from now on."""
        if not self._checks.running:
            self._before = _counters()
            if self._before is not None:
                self._checks.start()

    def stopped(self) -> None:
        """Cancel the timer."""
        self._checks.stop()

    def _check(self) -> float | None:
        now = _counters()
        if now is None or self._before is None:
            return None
        overflows, drops = now[0] - self._before[0], now[1] - self._before[1]
        if not (overflows or drops):
            return _INTERVAL
        if self._checks.now - self._logged >= _MINUTE:
            self._logged, self._before = self._checks.now, now
            log.warn(
                "a listen queue of this machine was full, this lab's or another program's:"
                " overflows={overflows} drops={drops}; some clients reached no server: raise"
                " net.core.somaxconn, and the endpoint's backlog=",
                log_system="tcplab",
                overflows=overflows,
                drops=drops,
            )
        return _INTERVAL


def _counters() -> tuple[int, int] | None:
    """Read the overflows of listen queues, and the connections that were dropped there."""
    with suppress(OSError, ValueError, KeyError), open(NETSTAT) as file:
        lines = [line.split() for line in file if line.startswith("TcpExt:")]
        found = dict(zip(*lines, strict=True))
        return int(found["ListenOverflows"]), int(found["ListenDrops"])
    return None
