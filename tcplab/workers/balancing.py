"""How workers share who connects: evenly, and no more than are allowed in all."""

from __future__ import annotations

import select
from typing import Any

from tcplab.listener.policy import Policy
from tcplab.workers.scoreboard import Scoreboard, WorkerRow

#: Connections that a worker may have more than another: few beside the hundreds that matter, and
#: enough that two of them need not take turns.
MAX_LEAD = 8
#: Seconds that a worker holds back. Whoever connects and is not fetched by the others for so long
#: is fetched by us: they compute, or are stopped.
HOLD = 0.01

#: Why a listener accepts nobody.
_REASON = "workers"


class AcceptBalancer(Policy):
    """
    Keep a worker from accepting while others have fewer connections, or all together too many.

    All wait on the same socket, and whoever is woken first would take all. So a worker that is more
    than `MAX_LEAD` ahead of another that lives holds back a little. When somebody still waits then,
    it may be twice as far ahead, and so on: a worker that computes or is stopped delays newcomers
    by some hundredths of a second, until they are all fetched or its silence tells (`STALE`).

    :param board: has everybody's numbers.
    :param row: our own.
    :param most: connections of all workers together; ``None`` for no limit. Each may overlook one
        that another accepts in the same moment.
    :param clock: keeps the time.
    :ivar ending: everybody ends: only the limit matters.
    """

    def __init__(self, board: Scoreboard, row: WorkerRow, most: int | None, clock: Any) -> None:
        super().__init__(clock)
        self._board = board
        self._row = row
        self._most = most
        self._ahead = MAX_LEAD
        self._held: Any = None
        self.ending = False

    # What the listeners tell

    def connectionAccepted(self, transport: Any) -> None:
        """Count one more."""
        row = self._row
        row.connections += 1
        row.accepted += 1
        row.beat()

    def connectionClosed(self, transport: Any) -> None:
        """Count one less."""
        self._row.connections -= 1
        if self._held is not None and not self._tooMany():
            self.resume()

    # To hold back

    def mayAccept(self) -> bool:
        """Hold back if others have fewer; they may have accepted, or lost some, meanwhile."""
        if not self._tooMany():
            return True
        if self._held is None:
            self._held = self.clock.callLater(HOLD, self._again)
            for listener in self.listeners:
                listener.suspend(_REASON)
        return False

    def _tooMany(self) -> bool:
        return self._full() or self._isAhead()

    def _full(self) -> bool:
        return self._most is not None and self._board.total() >= self._most

    def _isAhead(self) -> bool:
        fewestOthers = None if self.ending else self._board.fewestOthers(self._row)
        if fewestOthers is None or self._row.connections <= fewestOthers + MAX_LEAD:
            self._ahead = MAX_LEAD
            return False
        ahead: int = self._row.connections - fewestOthers
        return ahead > self._ahead

    def _again(self) -> None:
        self._held = None
        if self._waiting() and not self._full():
            self._ahead *= 2
        self.resume()

    def resume(self) -> None:
        """Accept again: if that is still too many, it is seen when somebody connects."""
        if self._held is not None:
            self._held.cancel()
            self._held = None
        for listener in self.listeners:
            listener.resume(_REASON)

    def _waiting(self) -> bool:
        asked = select.poll()
        for listener in self.listeners:
            for port in listener.ports:
                asked.register(port.fileno(), select.POLLIN)
        return bool(asked.poll(0))

    def stopped(self) -> None:
        """Leave no timer behind."""
        if self._held is not None:
            self._held.cancel()
            self._held = None
