"""Flow control of a conversation: reading stops while what was written waits to be sent."""

from __future__ import annotations

from typing import Any, Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IProducer, IPushProducer
from twisted.python.failure import Failure
from zope.interface import implementer, providedBy

from tcplab.reactor.interfaces import StreamTransport
from tcplab.reactor.stack import bufferedBytes, topProtocol


class FlowOwner(Protocol):
    """What `FlowControl` uses of its conversation."""

    peerFinished: bool

    def deliver(self) -> None: ...
    def producerUnregistered(self) -> None: ...
    def _updateFastPath(self) -> None: ...


@implementer(IPushProducer)
class FlowControl:
    """
    The producer that a conversation registers with its transport.

    The transport pauses it while more than its ``bufferSize`` (64 KiB) waits to be sent. As soon
    as one more answer has joined what waits, reading stops. So a peer that does not read its
    answers stops its own stream, and no other. A peer that reads on only after more of its input
    was read, as an echo server does, is still read. A producer of the subclass's own takes this
    place until it is unregistered.

    :ivar congested: what was written waits for the peer to read.
    :ivar otherProducer: the producer that has taken over, or ``None``.
    :ivar counting: bytes written now may have to wait, and are counted.
    """

    __slots__ = (
        "_conversation",
        "_deliveredAt",
        "_readingPaused",
        "_stopped",
        "_transport",
        "_waiting",
        "_written",
        "congested",
        "counting",
        "otherProducer",
    )

    def __init__(self, conversation: FlowOwner, transport: StreamTransport) -> None:
        self._conversation: FlowOwner | None = conversation  # None once the connection is lost
        self._transport = transport
        self._readingPaused = self._stopped = False
        self._deliveredAt: int | None = None
        self._waiting: list[Deferred[None]] | None = None
        self._written = 0
        self.congested = False
        self.counting = False
        self.otherProducer: IProducer | None = None
        earlier = getattr(transport, "producer", None)
        if isinstance(earlier, FlowControl):
            earlier.stop()  # of a conversation that has handed over to this one

    @property
    def stopped(self) -> bool:
        """Whether the transport has been given up."""
        return self._stopped

    def start(self) -> None:
        """Register with the transport."""
        if self.otherProducer is None:
            self._transport.registerProducer(self, True)

    def stop(self) -> None:
        """Give the transport up, and stop a producer that has taken over."""
        if self._stopped:
            return
        self._stopped = True
        self._transport.unregisterProducer()
        producer, self.otherProducer = self.otherProducer, None
        if producer is not None:
            producer.stopProducing()

    # The subclass's own producer

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """
        Let a producer of the subclass's own control the flow of what is written.

        :raises RuntimeError: another one is registered.
        """
        transport = self._transport
        if self._stopped:
            transport.registerProducer(producer, streaming)
            return
        if self.otherProducer is not None:
            raise RuntimeError(f"{self.otherProducer} is registered already; unregister it first")
        transport.unregisterProducer()
        if self.congested:
            self.resumeProducing()
        self.otherProducer = producer
        self._count(True)
        transport.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        """Control the flow again: the other producer has finished."""
        transport, conversation = self._transport, self._conversation
        transport.unregisterProducer()
        if self.otherProducer is not None and conversation is not None:
            self.otherProducer = None
            self._count(False)
            transport.registerProducer(self, True)
            conversation.producerUnregistered()

    # Calls from the transport

    def pauseProducing(self) -> None:
        """Become congested: more than ``bufferSize`` bytes wait to be sent."""
        if not self.congested:
            self.congested = True
            self._count(True)
            self._written = 0
            self._deliveredAt = None

    def resumeProducing(self) -> None:
        """Go on: the kernel has taken all that was written."""
        self.congested = False
        self._count(False)
        waiting, self._waiting = self._waiting, None
        for deferred in waiting or ():
            deferred.callback(None)
        if self._conversation is None:
            return
        self._conversation.deliver()
        if not self.congested:  # again, by the answers to what was delivered now
            self._resumeTransport()

    def stopProducing(self) -> None:
        """Do nothing: ``connectionLost`` follows."""

    def _count(self, counting: bool) -> None:
        self.counting = counting
        if self._conversation is not None:
            self._conversation._updateFastPath()

    # Calls from the conversation

    def pauseReading(self) -> None:
        """Stop reading: the conversation takes no input now."""
        if not self._readingPaused:
            self._readingPaused = True
            self._transport.pauseProducing()

    def resumeReading(self) -> None:
        """Read on after `pauseReading`."""
        if self._readingPaused:
            self._readingPaused = False
            self._resumeTransport()

    def _resumeTransport(self) -> None:
        # After a FIN there is nothing to read: a socket at its end is readable all the time.
        conversation = self._conversation
        if not (self._readingPaused or conversation is None or conversation.peerFinished):
            self._transport.resumeProducing()

    def mayDeliver(self) -> bool:
        """
        Tell whether one more message may be delivered; if not, stop reading.

        No message is delivered while the answer to an earlier one has joined what waits already.
        """
        if not self.congested or self.otherProducer is not None:
            return True
        left = bufferedBytes(self._transport)
        if self._deliveredAt is not None and (left is None or left > self._deliveredAt):
            self._transport.pauseProducing()
            return False
        self._deliveredAt = left or 0
        return True

    def exceeds(self, written: int, limit: int) -> bool:
        """
        Count bytes that are written while the peer reads nothing; tell whether they are too many.

        :param written: bytes to be written now.
        :param limit: bytes that may wait.
        """
        self._written += written
        if self._written <= limit:
            return False
        # Some of them may have left since. Asked only once for every limit's worth.
        left = bufferedBytes(self._transport)
        self._written = self._written if left is None else left
        return self._written > limit

    def whenFlushed(self) -> Deferred[None]:
        """Fire once nothing waits for the peer, at once if nothing does."""
        if not self.congested:
            return succeed(None)
        if self._waiting is None:
            self._waiting = []
        deferred: Deferred[None] = Deferred(self._waiting.remove)
        self._waiting.append(deferred)
        return deferred

    def connectionLost(self, reason: Failure) -> None:
        """Fail what waits."""
        self._stopped = True
        # No cycle of references stays behind for the garbage collector.
        self._conversation = self.otherProducer = None
        waiting, self._waiting = self._waiting, None
        for deferred in waiting or ():
            deferred.errback(reason)


class TransportOwner(Protocol):
    """What `ConversationTransport` uses of its conversation."""

    ending: bool
    flow: FlowControl

    def closeGracefully(self) -> None: ...
    def closeWrite(self) -> None: ...


class ConversationTransport:
    """
    The transport of a conversation: the raw transport, except for closing and producers.

    So ``self.transport.loseConnection()``, a habit of Twisted's users, closes as gracefully as
    ``hangUp()``. As in a wrapper of ``twisted.protocols.policies``, ``transport`` is the one below.
    """

    __slots__ = ("_conversation", "transport")

    def __init__(self, conversation: TransportOwner, transport: Any) -> None:
        self._conversation: TransportOwner | None = conversation
        self.transport = transport  # Any: it may offer more than StreamTransport, such as startTLS

    def connectionLost(self) -> None:
        """Be the raw transport only: no cycle of references stays for the garbage collector."""
        self._conversation = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.transport, name)

    __providedBy__ = property(lambda self: providedBy(self.transport))

    @property
    def protocol(self) -> object:
        """The protocol that uses the transport; setting it hands the connection over."""
        return topProtocol(self.transport)

    @protocol.setter
    def protocol(self, other: object) -> None:
        if self._conversation is not None:
            self._conversation.flow.stop()
        self.transport.protocol = other

    @property
    def _user(self) -> TransportOwner | None:
        """The conversation; ``None`` once it has handed over the connection, or lost it."""
        conversation = self._conversation
        if conversation is None or conversation.ending:
            return conversation
        handedOver = topProtocol(self.transport) not in (conversation, None)
        return None if handedOver or conversation.flow.stopped else conversation

    def loseConnection(self) -> None:
        """Close gracefully, once a registered producer has finished."""
        user = self._user
        if user is None:
            self.transport.loseConnection()
        else:
            user.closeGracefully()

    def loseWriteConnection(self) -> None:
        """Half-close, once a registered producer has finished; go on reading."""
        user = self._user
        if user is None:
            self.transport.loseWriteConnection()
        else:
            user.closeWrite()

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """
        Let a producer of the subclass's own control the flow of what is written.

        :raises RuntimeError: another one is registered.
        """
        if self._conversation is None:
            self.transport.registerProducer(producer, streaming)
        else:
            self._conversation.flow.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        """Give flow control back to the conversation."""
        if self._conversation is None:
            self.transport.unregisterProducer()
        else:
            self._conversation.flow.unregisterProducer()

    def startTLS(self, *args: object) -> None:
        """Start TLS in Twisted's own way, which registers the producer anew."""
        if self._conversation is not None:
            self._conversation.flow.stop()
        self.transport.startTLS(*args)
