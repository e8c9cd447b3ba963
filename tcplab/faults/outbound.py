"""What the protocol sends, on its way through the faults to the transport."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IPushProducer
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from tcplab.faults.inbound import ToProtocol
from tcplab.faults.stage import End
from tcplab.reactor.stack import canHalfClose, setReason

if TYPE_CHECKING:
    from tcplab.faults.closing import FaultClose
    from tcplab.faults.filter import FaultFilter


class ToTransport:
    """
    What our side says, on its way out.

    :ivar ended: our FIN has been asked for.
    :ivar cutOff: a fault has, not the protocol.
    """

    def __init__(self, filter: FaultFilter) -> None:
        self._filter = filter
        self.ended = self.cutOff = False

    def take(self, data: bytes) -> None:
        """Send bytes."""
        if not (self.ended or self._filter.cut.begun):
            self._filter.beneath.write(data)

    def end(self, how: End) -> None:
        """Send an end."""
        filter = self._filter
        if filter.cut.begun and how is not End.RESET:
            return
        if how is End.RESET:
            filter.cut.reset()
        elif how is End.CLOSE:
            filter.cut.fin(filter.peerFinished)
        else:
            self._finish(how)

    def _finish(self, how: End) -> None:
        filter = self._filter
        ended, self.ended = self.ended, True
        if how is End.HALF:
            self.cutOff = True
            setReason(filter.transport, "fault")
            filter.source.detach()
        if filter.closing or not canHalfClose(filter.transport):
            filter.beneath.loseConnection()
        elif not ended:
            filter.beneath.loseWriteConnection()


@implementer(IPushProducer)
class ProducerProxy:
    """
    Stand between a protocol's producer and the transport.

    The producer is paused while the transport says so, or while too much is held by faults.

    :param transport: the transport, covered.
    :param beneath: its own methods.
    :param clock: a producer that has to be asked for each piece is asked once a turn of it.
    :ivar producer: the protocol's, if it has registered one.
    """

    def __init__(self, transport: Any, beneath: Any, clock: Any) -> None:
        self.producer: Any = None
        self._transport = transport
        self._beneath = beneath
        self._clock = clock
        self._streaming = True
        self._full = self._congested = self._paused = self._detached = False
        self._pull: Any = None

    # A live connection may have a producer already

    def takeOver(self) -> None:
        """Take the place of the producer that the transport has now."""
        owner, name = _place(self._transport)
        producer = getattr(owner, name, None)
        if producer is None:
            return
        if not getattr(owner, "streamingProducer", True):
            self._beneath.unregisterProducer()
            self.register(producer, False)
            return
        setattr(owner, name, self)
        self.producer = producer
        self._congested = self._paused = _isPaused(owner)

    def giveBack(self) -> None:
        """Leave the transport to the producer."""
        producer, self.producer = self.producer, None
        self._stopPulling()
        if producer is None:
            return
        if not self._streaming:
            self._beneath.unregisterProducer()
            self._beneath.registerProducer(producer, False)
            return
        self._replaceBy(producer)
        if self._paused and not self._congested:
            producer.resumeProducing()

    def _replaceBy(self, producer: Any) -> None:
        owner, name = _place(self._transport)
        if getattr(owner, name, None) is self:
            setattr(owner, name, producer)

    # What the protocol says

    def register(self, producer: Any, streaming: bool) -> None:
        """
        Let a producer control the flow.

        :raises RuntimeError: there is one already.
        """
        if self.producer is not None:
            raise RuntimeError(f"{self.producer} is registered already; unregister it first")
        self._beneath.registerProducer(self, True)
        self.producer, self._streaming = producer, streaming
        self._paused = self._congested = False
        self._update()

    def unregister(self) -> None:
        """Forget the producer."""
        if self.producer is not None and self._streaming:
            self._replaceBy(self.producer)  # a transport may have to stop what it wrapped it in
        self.producer = None
        self._stopPulling()
        self._beneath.unregisterProducer()

    def detach(self) -> None:
        """Stand between the two no more; the producer is told of the connection's loss only."""
        if self.producer is not None:
            if self._streaming:
                self._replaceBy(self.producer)
            self._stopPulling()
            self._beneath.unregisterProducer()
            self._detached = True

    # When to pause

    def hold(self, full: bool) -> None:
        """Pause the producer while too much waits."""
        if full != self._full:
            self._full = full
            self._update()

    def pauseProducing(self) -> None:
        """The transport's buffer is full."""
        self._congested = True
        self._update()

    def resumeProducing(self) -> None:
        """It is empty."""
        self._congested = False
        self._update()

    def stopProducing(self) -> None:
        """The connection is lost."""
        producer, self.producer = self.producer, None
        self._stopPulling()
        if producer is not None:
            producer.stopProducing()

    def _update(self) -> None:
        pause = self._full or self._congested
        if self.producer is None or self._detached:
            return
        if not self._streaming:
            if not pause and self._pull is None:
                self._pull = self._clock.callLater(0, self._ask)
        elif pause != self._paused:
            self._paused = pause
            if pause:
                self.producer.pauseProducing()
            else:
                self.producer.resumeProducing()

    def _ask(self) -> None:
        self._pull = None
        if self.producer is not None and not (self._full or self._congested):
            self._pull = self._clock.callLater(0, self._ask)
            self.producer.resumeProducing()

    def _stopPulling(self) -> None:
        pull, self._pull = self._pull, None
        if pull is not None:
            pull.cancel()


def _place(transport: Any) -> tuple[Any, str]:
    """Return what holds the producer of a transport, and under which name."""
    if isinstance(transport, TLSMemoryBIOProtocol):
        return transport._producer, "_producer"  # a membrane around it
    return transport, "producer"


def _isPaused(owner: Any) -> bool:
    return bool(getattr(owner, "producerPaused", False) or getattr(owner, "_producerPaused", False))


class AsTransport:
    """The half of a `tcplab.faults.filter.FaultFilter` that its protocol sees."""

    if TYPE_CHECKING:  # what Filter has
        beneath: Any
        closing: bool
        cut: FaultClose
        paused: bool
        source: ProducerProxy
        toProtocol: ToProtocol
        toTransport: ToTransport

        def changed(self, asked: bool = False) -> None: ...
        def keepPlace(self) -> None: ...
        def out(self, what: bytes | End) -> None: ...

    def write(self, data: bytes) -> None:
        """Say bytes."""
        if data and not self.cut.begun:
            self.keepPlace()
            self.out(bytes(data))
            self.changed()

    def writeSequence(self, pieces: Iterable[bytes]) -> None:
        """Say pieces."""
        self.write(b"".join(pieces))

    def loseWriteConnection(self) -> None:
        """Finish speaking."""
        if not self.cut.begun:
            self.out(End.FINISH)
            self.changed()

    def loseConnection(self) -> None:
        """End, when all that was said has left, and a registered producer has finished."""
        if not (self.closing or self.cut.begun):
            self.closing = True
            self.changed()
            self._endIfFree()
            self.changed()

    def _endIfFree(self) -> None:
        if self.toTransport.ended:
            self.beneath.loseConnection()  # a producer has nobody left to write to
        elif self.source.producer is None:
            self.out(End.FINISH)

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Let a producer control the flow of what is said."""
        self.source.register(producer, streaming)

    def unregisterProducer(self) -> None:
        """Forget it."""
        self.source.unregister()
        if self.closing and not self.cut.begun:
            self._endIfFree()

    def pauseProducing(self) -> None:
        """Want nothing."""
        self.paused = True
        self.changed()

    def resumeProducing(self) -> None:
        """Want more."""
        self.paused = False
        self.toProtocol.deliver()
        self.changed(asked=True)
