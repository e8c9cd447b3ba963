"""Balance new connections between workers, and keep the limit of all workers together."""

from __future__ import annotations

import select

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from tcplab.listener.policy import Policy
from tcplab.workers.scoreboard import Scoreboard, WorkerRow

#: Connections that a worker may have more than another: few beside the hundreds that matter, and
#: enough that two workers need not alternate.
MAX_LEAD = 8
#: Seconds for which a worker holds back. A client that waits longer is accepted all the same: the
#: other workers compute, or are stopped.
HOLD = 0.01

#: The reason of a listener for not accepting.
_REASON = "workers"


class AcceptBalancer(Policy):
    """
    Keep a worker from accepting while another has fewer connections, or all together too many.

    All workers wait on the same sockets, and the one that is woken first would accept all clients.
    So a worker that is more than `MAX_LEAD` connections ahead of another live one holds back for
    `HOLD` seconds. If a client still waits then, twice the lead is allowed, and so on. A worker
    that computes or is stopped delays new clients by some hundredths of a second, until its
    missing heartbeat excludes it (`STALE`).

    **Limit:** two workers that accept in the same moment may exceed the limit by one.

    :param board: has the numbers of all workers.
    :param row: this worker's.
    :param most: connections of all workers together; ``None`` for no limit.
    :param clock: keeps the time.
    :ivar draining: all workers drain, and only the limit matters.
    """

    def __init__(
        self, board: Scoreboard, row: WorkerRow, most: int | None, clock: IReactorTime
    ) -> None:
        super().__init__(clock)
        self._board = board
        self._row = row
        self._most = most
        self._maxLead = MAX_LEAD
        self._hold: IDelayedCall | None = None
        self.draining = False

    def connectionAccepted(self, transport: object) -> None:
        """Count a connection in the scoreboard."""
        row = self._row
        row.connections += 1
        row.accepted += 1
        row.beat()

    def connectionClosed(self, transport: object) -> None:
        """Count it no more; accept again if that makes room."""
        self._row.connections -= 1
        if self._hold is not None and not self._tooMany():
            self.resume()

    def mayAccept(self) -> bool:
        """Hold back if another worker has fewer connections now."""
        if not self._tooMany():
            return True
        if self._hold is None:
            self._hold = self.clock.callLater(HOLD, self._holdEnded)
            for listener in self.listeners:
                listener.suspend(_REASON)
        return False

    def _tooMany(self) -> bool:
        return self._full() or self._isAhead()

    def _full(self) -> bool:
        return self._most is not None and self._board.total() >= self._most

    def _isAhead(self) -> bool:
        fewest = None if self.draining else self._board.fewestOthers(self._row)
        if fewest is None or self._row.connections <= fewest + MAX_LEAD:
            self._maxLead = MAX_LEAD
            return False
        lead: int = self._row.connections - fewest
        return lead > self._maxLead

    def _holdEnded(self) -> None:
        self._hold = None
        if self._clientsWait() and not self._full():
            self._maxLead *= 2
        self.resume()

    def resume(self) -> None:
        """Accept again; the next `mayAccept` tells whether that is still too many."""
        self.stopped()
        for listener in self.listeners:
            listener.resume(_REASON)

    def _clientsWait(self) -> bool:
        polled = select.poll()
        for listener in self.listeners:
            for port in listener.ports:
                polled.register(port.fileno(), select.POLLIN)
        return bool(polled.poll(0))

    def stopped(self) -> None:
        """Cancel the timer."""
        if self._hold is not None:
            self._hold.cancel()
            self._hold = None
