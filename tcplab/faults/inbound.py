"""From the transport to the protocol: what is received, through the faults."""

from __future__ import annotations

from collections import deque
from typing import Any, Protocol

from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.main import CONNECTION_DONE
from twisted.internet.protocol import BaseProtocol
from twisted.internet.tcp import Connection
from twisted.logger import Logger
from twisted.python.failure import Failure

from tcplab.faults.closing import FaultClose
from tcplab.faults.outbound import Outbound, ProducerTransport
from tcplab.faults.pipeline import Pipeline, PipelineOwner
from tcplab.faults.stage import End
from tcplab.reactor.stack import setReason, socketTransport
from tcplab.wire.reasons import Reason

log = Logger("tcplab.policies.faults.outlets")


class InboundOwner(PipelineOwner, Protocol):
    """
    The filter, as this direction needs it.

    :ivar wrappedProtocol: the protocol.
    """

    wrappedProtocol: Any

    def updateFlow(self, asked: bool = False) -> None:
        """Pause or resume both sources: bytes have moved, or the protocol ``asked`` for more."""


class Inbound:
    """
    The direction from the transport to the protocol.

    The filter hands on `dataReceived` and `readConnectionLost`. Bytes go through the `pipeline`,
    which passes them on to `feed` and `end`. These queue them while the protocol is paused, or
    while it is busy with earlier ones.

    :param raw: the transport.
    :param close: the end that a fault makes.
    :param outbound: the other direction.
    :param filter: has the protocol, and pauses and resumes both sources when bytes have moved.
    :param reading: the transport reads now: the protocol has not paused it.
    :ivar pipeline: the faults.
    """

    def __init__(
        self,
        raw: ProducerTransport,
        close: FaultClose,
        outbound: Outbound,
        filter: InboundOwner,
        reading: bool,
    ) -> None:
        self._raw = raw
        self._close = close
        self._outbound = outbound
        self._filter = filter
        self.pipeline = Pipeline(self)
        self._queue: deque[bytes | End] = deque()
        self._paused = not reading  # by the protocol
        self._reading = reading  # the transport, as far as it is ours to say
        self._delivering = self._urgent = self._finished = self._lost = False

    @property
    def waiting(self) -> bool:
        """Whether the protocol has not received everything yet."""
        return bool(self._queue or self._delivering)

    # From the transport

    def dataReceived(self, data: bytes) -> None:
        """Receive bytes."""
        if not (self._close.begun or self._outbound.closing):
            self.pipeline.head.feed(data)
            self._filter.updateFlow()

    def readConnectionLost(self) -> None:
        """Receive the peer's FIN."""
        self._close.readConnectionLost()
        if not self._close.begun:
            self.pipeline.head.end(End.FINISH)
            self._filter.updateFlow()

    def discard(self) -> None:
        """Drop everything: the connection is lost."""
        self._lost = True
        self.pipeline.discard()

    # What the protocol asks for

    def pauseProducing(self) -> None:
        """Deliver nothing."""
        self._paused = True
        self._filter.updateFlow()

    def resumeProducing(self) -> None:
        """Deliver again."""
        self._paused = False
        self._deliver()
        self._filter.updateFlow(asked=True)

    def updateReading(self, answersHeld: bool, asked: bool) -> None:
        """
        Read from the transport, or stop, according to how much waits.

        :param answersHeld: too much of what was written without a producer is held. These are
            answers: with less to read there are fewer of them.
        :param asked: the protocol wants more: reading may have been stopped beneath us, too.
        """
        if self._close.begun:
            wanted = True  # and dropped: bytes left unread would turn a FIN into a reset
        elif self._outbound.closing:
            if self._outbound.finished:
                return
            wanted = not self._paused  # and dropped; TLS waits for the peer's own end
        else:
            wanted = not (self._paused or answersHeld or self.pipeline.pressure()[0])
        if (wanted != self._reading or (wanted and asked)) and not self._close.peerFinished:
            self._reading = wanted
            if wanted:
                self._raw.resumeProducing()
            else:
                self._raw.pauseProducing()

    # To the protocol

    def feed(self, data: bytes) -> None:
        """Deliver bytes."""
        self._queue.append(data)
        self._deliver()

    def end(self, how: End) -> None:
        """Deliver an end; one of both directions does not wait for a paused protocol."""
        self._queue.append(how)
        self._urgent = self._urgent or how in (End.CLOSE, End.RESET)
        self._deliver()

    def _deliver(self) -> None:
        if self._delivering or self._lost:
            return
        protocol = self._filter.wrappedProtocol
        if isinstance(protocol, BaseProtocol) and not (protocol.connected or self._urgent):
            self._filter.clock.callLater(0, self._deliver)  # connectionMade is still to be called
            return
        self._delivering = True
        self._raw.reassert()
        try:
            while self._queue and not (self._close.begun or self._lost):
                if self._paused and not self._urgent:
                    break
                self._deliverOne(self._queue.popleft())
                self._raw.reassert()
        except Exception:
            # As the reactor does when a protocol fails: this may be a timer's turn.
            log.failure("{protocol} failed", protocol=self._filter.wrappedProtocol)
            self._fail(Failure())
        finally:
            self._delivering = False

    def _fail(self, reason: Failure) -> None:
        bottom = socketTransport(self._raw.transport)
        if bottom is None:
            self._raw.abortConnection()
        else:
            bottom.connectionLost(reason)

    def _deliverOne(self, what: bytes | End) -> None:
        if what is End.RESET:
            self._close.reset()
        elif what is End.CLOSE:
            self._outbound.pipeline.head.end(what)  # behind the answers given so far
        elif self._finished or self._outbound.closing:
            pass
        elif isinstance(what, bytes):
            self._filter.wrappedProtocol.dataReceived(what)
        else:
            self._finish(what)

    def _finish(self, how: End) -> None:
        self._finished = True
        transport = self._raw.transport
        if how is End.HALF:
            setReason(transport, Reason.FAULT)
        halfCloseable = IHalfCloseableProtocol(self._filter.wrappedProtocol, None)
        if halfCloseable is not None:
            halfCloseable.readConnectionLost()
        elif isinstance(transport, Connection):
            # As Twisted does for a protocol without half-close.
            transport.connectionLost(Failure(CONNECTION_DONE))
        else:
            self._raw.loseConnection()
