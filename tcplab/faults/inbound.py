"""Where received bytes leave the faults: to the protocol."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.main import CONNECTION_DONE
from twisted.internet.tcp import Connection
from twisted.logger import Logger
from twisted.python.failure import Failure

from tcplab.faults.stage import End
from tcplab.reactor.stack import bottomTransport, setReason

if TYPE_CHECKING:
    from tcplab.faults.filter import FaultFilter


log = Logger("tcplab.policies.faults.outlets")


class ToProtocol:
    """What the peer says, on its way in; it waits while the protocol has paused it."""

    def __init__(self, filter: FaultFilter) -> None:
        self._filter = filter
        self._queue: deque[bytes | End] = deque()
        self._delivering = self._ended = False

    @property
    def waiting(self) -> bool:
        """Whether something has not been delivered yet."""
        return bool(self._queue or self._delivering)

    def take(self, data: bytes) -> None:
        """Deliver bytes."""
        self._queue.append(data)
        self.deliver()

    def end(self, how: End) -> None:
        """Deliver an end; one that a fault makes of both directions waits for nobody."""
        self._queue.append(how)
        self.deliver(how in (End.CLOSE, End.RESET))

    def deliver(self, now: bool = False) -> None:
        """Deliver what has come, unless the protocol is busy or wants nothing now."""
        filter = self._filter
        if self._delivering:
            return
        if not (now or getattr(filter.wrappedProtocol, "connected", True)):
            filter.clock.callLater(0, self.deliver)  # it has not been told yet that a peer is here
            return
        self._delivering = True
        filter.keepPlace()
        try:
            while self._queue and not (filter.cut.begun or filter.over):
                if filter.paused and not now:
                    break
                self._one(self._queue.popleft())
                filter.keepPlace()
        except Exception:
            # As the reactor does when a protocol fails: here it may be a timer's turn.
            log.failure("{protocol} failed", protocol=filter.wrappedProtocol)
            bottom: Any = bottomTransport(filter.transport)
            bottom.connectionLost(Failure())
        finally:
            self._delivering = False

    def _one(self, what: bytes | End) -> None:
        if what is End.RESET or what is End.CLOSE:
            self._filter.fromThere(what)
        elif self._ended or self._filter.closing:
            pass
        elif isinstance(what, bytes):
            self._filter.wrappedProtocol.dataReceived(what)
        else:
            self._finished(what)

    def _finished(self, how: End) -> None:
        self._ended = True
        filter = self._filter
        if how is End.HALF:
            setReason(filter.transport, "fault")
        halves = IHalfCloseableProtocol(filter.wrappedProtocol, None)
        if halves is not None:
            halves.readConnectionLost()
        elif isinstance(filter.transport, Connection):
            # As Twisted does for a protocol that knows no halves.
            filter.transport.connectionLost(Failure(CONNECTION_DONE))
        else:
            filter.beneath.loseConnection()
