"""From the protocol to the transport: what is written, through the faults, and its producer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from twisted.internet.interfaces import IDelayedCall, IPullProducer, IPushProducer, IReactorTime
from zope.interface import implementer

from tcplab.faults.closing import FaultClose, RawTransport
from tcplab.faults.pipeline import Pipeline, PipelineOwner
from tcplab.faults.stage import End
from tcplab.reactor.stack import canHalfClose, setReason
from tcplab.wire.reasons import Reason

_Producer = IPushProducer | IPullProducer


class ProducerTransport(RawTransport, Protocol):
    """
    A transport whose producer can be replaced without its knowledge.

    :ivar producer: the registered producer.
    :ivar producerStreams: it is a push producer.
    :ivar producerPaused: the transport has paused it.
    """

    producer: Any

    @property
    def producerStreams(self) -> bool: ...

    @property
    def producerPaused(self) -> bool: ...

    def reassert(self) -> None:
        """Stay between the transport and its protocol."""


@implementer(IPushProducer)
class ProducerProxy:
    """
    Stand between a protocol's producer and the transport.

    The producer is paused while the transport's buffer is full, or while faults hold too much.

    :param raw: the transport.
    :param clock: a pull producer is asked for one piece in each of its turns.
    :ivar producer: the protocol's, if one is registered.
    """

    def __init__(self, raw: ProducerTransport, clock: IReactorTime) -> None:
        self.producer: Any = None
        self._raw = raw
        self._clock = clock
        self._streaming = True
        self._held = self._congested = self._paused = self._detached = False
        self._pull: IDelayedCall | None = None

    # A live connection may have a producer already

    def takeOver(self) -> None:
        """Take the place of the producer that is registered with the transport."""
        producer = self._raw.producer
        if producer is None:
            return
        if not self._raw.producerStreams:
            self._raw.unregisterProducer()
            self.register(producer, False)
            return
        self._raw.producer = self
        self.producer = producer
        self._congested = self._paused = self._raw.producerPaused

    def giveBack(self) -> None:
        """Let the transport have the protocol's producer again."""
        producer, self.producer = self.producer, None
        self._stopPulling()
        if producer is None:
            return
        if not self._streaming:
            self._raw.unregisterProducer()
            self._raw.registerProducer(producer, False)
            return
        self._replaceBy(producer)
        if self._paused and not self._congested:
            producer.resumeProducing()

    def _replaceBy(self, producer: object) -> None:
        if self._raw.producer is self:
            self._raw.producer = producer

    # What the protocol asks for

    def register(self, producer: _Producer, streaming: bool) -> None:
        """
        Register the protocol's producer.

        :raises RuntimeError: another one is registered.
        """
        if self.producer is not None:
            raise RuntimeError(f"{self.producer} is registered already; unregister it first")
        self._raw.registerProducer(self, True)
        self.producer, self._streaming = producer, streaming
        self._paused = self._congested = False
        self._update()

    def unregister(self) -> None:
        """Forget the producer."""
        if self.producer is not None and self._streaming:
            self._replaceBy(self.producer)  # a transport may have to stop what it wrapped it in
        self.producer = None
        self._stopPulling()
        self._raw.unregisterProducer()

    def detach(self) -> None:
        """Control the producer no more; the loss of the connection stops it."""
        if self.producer is not None:
            if self._streaming:
                self._replaceBy(self.producer)
            self._stopPulling()
            self._raw.unregisterProducer()
            self._detached = True

    # When to pause

    def hold(self, full: bool) -> None:
        """Pause the producer while faults hold too much."""
        if full != self._held:
            self._held = full
            self._update()

    def pauseProducing(self) -> None:
        """Pause the producer: the transport's buffer is full."""
        self._congested = True
        self._update()

    def resumeProducing(self) -> None:
        """Resume the producer, unless faults hold too much: the transport's buffer is empty."""
        self._congested = False
        self._update()

    def stopProducing(self) -> None:
        """Stop the producer: the connection is lost."""
        producer, self.producer = self.producer, None
        self._stopPulling()
        if producer is not None:
            producer.stopProducing()

    def _update(self) -> None:
        pause = self._held or self._congested
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
        if self.producer is not None and not (self._held or self._congested):
            self._pull = self._clock.callLater(0, self._ask)
            self.producer.resumeProducing()

    def _stopPulling(self) -> None:
        pull, self._pull = self._pull, None
        if pull is not None:
            pull.cancel()


class Outbound:
    """
    The direction from the protocol to the transport.

    The protocol calls `write` and its neighbours in place of the transport's methods of the same
    name. Bytes go through the `pipeline`, which passes them on to `feed` and `end`.

    :param raw: the transport.
    :param close: the end that a fault makes.
    :param producers: stands between the protocol's producer and the transport.
    :param filter: pauses and resumes both sources when bytes have moved.
    :ivar pipeline: the faults.
    :ivar closing: the protocol has closed the connection.
    :ivar finished: this end has half-closed.
    :ivar halfClosed: a fault has half-closed, not the protocol.
    """

    def __init__(
        self,
        raw: ProducerTransport,
        close: FaultClose,
        producers: ProducerProxy,
        filter: PipelineOwner,
    ) -> None:
        self._raw = raw
        self._close = close
        self._filter = filter
        self._early: list[bytes | End] | None = []
        self.pipeline = Pipeline(self)
        self.producers = producers
        self.closing = self.finished = self.halfClosed = False

    def start(self) -> None:
        """Start the faults, and let pass what was written during a handshake."""
        self.pipeline.start()
        for what in self._early or ():  # grows while the protocol writes meanwhile
            self._enter(what)
        self._early = None

    # From the protocol

    def write(self, data: bytes) -> None:
        """Write bytes."""
        if data and not self._close.begun:
            self._raw.reassert()
            self._pass(bytes(data))
            self._filter.updateFlow()

    def writeSequence(self, chunks: Iterable[bytes]) -> None:
        """Write chunks."""
        self.write(b"".join(chunks))

    def loseWriteConnection(self) -> None:
        """Half-close."""
        if not self._close.begun:
            self._pass(End.FINISH)
            self._filter.updateFlow()

    def loseConnection(self) -> None:
        """Close, once everything written has left and a registered producer has finished."""
        if not (self.closing or self._close.begun):
            self.closing = True
            self._filter.updateFlow()  # reads on: TLS waits for the peer's close_notify
            self._finishWithoutProducer()
            self._filter.updateFlow()

    def _finishWithoutProducer(self) -> None:
        if self.finished:
            self._raw.loseConnection()  # a producer's bytes would go nowhere
        elif self.producers.producer is None:
            self._pass(End.FINISH)

    def registerProducer(self, producer: _Producer, streaming: bool) -> None:
        """Let a producer control the flow of what is written."""
        self.producers.register(producer, streaming)

    def unregisterProducer(self) -> None:
        """Forget the producer."""
        self.producers.unregister()
        if self.closing and not self._close.begun:
            self._finishWithoutProducer()

    def _pass(self, what: bytes | End) -> None:
        if self._early is None:
            self._enter(what)
        else:
            self._early.append(what)

    def _enter(self, what: bytes | End) -> None:
        if isinstance(what, bytes):
            self.pipeline.head.feed(what)
        else:
            self.pipeline.head.end(what)

    # To the transport

    def feed(self, data: bytes) -> None:
        """Send bytes."""
        if not (self.finished or self._close.begun):
            self._raw.write(data)

    def end(self, how: End) -> None:
        """Send an end."""
        if how is End.RESET:
            self._close.reset()
        elif self._close.begun:
            return
        elif how is End.CLOSE:
            self._close.fin()
        else:
            self._finish(how)

    def _finish(self, how: End) -> None:
        finished, self.finished = self.finished, True
        transport = self._raw.transport
        if how is End.HALF:
            self.halfClosed = True
            setReason(transport, Reason.FAULT)
            self.producers.detach()
        if self.closing or not canHalfClose(transport):
            self._raw.loseConnection()
        elif not finished:
            self._raw.loseWriteConnection()
