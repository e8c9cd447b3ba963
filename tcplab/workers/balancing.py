"""How workers share who connects: evenly, and no more than are allowed in all."""

from __future__ import annotations

import select
from collections.abc import Callable, Sequence
from typing import Any

from tcplab.server.endpointlistener import EndpointListener
from tcplab.workers.scoreboard import Scoreboard, WorkerRow

#: Connections that a worker may have more than another: few beside the hundreds that matter, and
#: enough that two of them need not take turns.
MAX_LEAD = 8
#: Seconds that a worker holds back. Whoever connects and is not fetched by the others for so long
#: is fetched by us: they compute, or are stopped.
HOLD = 0.01

#: Why a listener accepts nobody.
_REASON = "workers"


class AcceptBalancer:
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
        self._board = board
        self._row = row
        self._most = most
        self._clock = clock
        self._ahead = MAX_LEAD
        self._listeners: Sequence[EndpointListener] = ()
        self._held: Any = None
        self.ending = False

    def begin(self, listeners: Sequence[EndpointListener]) -> None:
        """Watch these; they listen."""
        self._listeners = listeners
        for serving in listeners:
            serving.listener.guard(self)
            port: Any = serving.port
            port.doRead = self._asked(port.doRead)

    def _asked(self, accept: Callable[[], object]) -> Callable[[], None]:
        def doRead() -> None:
            # Others may have accepted, or may have lost some, since we last looked.
            if self._mayAccept():
                accept()

        return doRead

    # What the listeners tell

    def connectionAccepted(self, transport: Any) -> None:
        """Count one more."""
        row = self._row
        row.connections += 1
        row.accepted += 1
        row.beat()
        self._mayAccept()

    def connectionGone(self, transport: Any) -> None:
        """Count one less."""
        self._row.connections -= 1
        if self._held is not None and not self._tooMany():
            self.resume()

    # To hold back

    def _mayAccept(self) -> bool:
        if not self._tooMany():
            return True
        if self._held is None:
            self._held = self._clock.callLater(HOLD, self._again)
            for serving in self._listeners:
                serving.listener.suspend(_REASON)
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
        for serving in self._listeners:
            serving.listener.resume(_REASON)

    def _waiting(self) -> bool:
        asked = select.poll()
        for serving in self._listeners:
            if serving.port is not None:
                asked.register(serving.port.fileno(), select.POLLIN)  # type: ignore[attr-defined]
        return bool(asked.poll(0))

    def stop(self) -> None:
        """Leave no timer behind."""
        if self._held is not None:
            self._held.cancel()
            self._held = None
