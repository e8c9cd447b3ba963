"""Flow control of one conversation: what it reads waits while what it wrote does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IPushProducer
from twisted.python.failure import Failure
from zope.interface import implementer, providedBy

from tcplab.reactor.stack import bufferedBytes, topProtocol

if TYPE_CHECKING:
    from tcplab.protocols.conversation import Machinery


@implementer(IPushProducer)
class FlowControl:
    """
    The producer that a conversation registers with its transport.

    The transport pauses it while more than its ``bufferSize`` (64 KiB) waits to be sent. Then, as
    soon as an answer has joined what waits, nothing more is read: a peer which does not read its
    answers stops its own stream, and nobody else's; but one that waits for us to read before it
    reads on, as an echo server does, is read. A producer of the subclass's own takes this place,
    and gives it back at its end.

    :ivar congested: what was written waits for the peer.
    :ivar lent: the producer that has taken over, or ``None``.
    :ivar counting: what is written now may have to wait, and is counted.
    """

    __slots__ = (
        "_conversation",
        "_heardAt",
        "_held",
        "_stopped",
        "_transport",
        "_waiting",
        "_written",
        "congested",
        "counting",
        "lent",
    )

    def __init__(self, conversation: Machinery, transport: Any) -> None:
        self._conversation: Any = conversation  # none once it is over
        self._transport = transport
        self._held = self._stopped = False
        self._heardAt: int | None = None
        self._waiting: list[Deferred[None]] | None = None
        self._written = 0
        self.congested = False
        self.counting = False
        self.lent: Any = None
        earlier = getattr(transport, "producer", None)
        if isinstance(earlier, FlowControl):
            earlier.stop()  # of a conversation that has handed over to this one

    @property
    def stopped(self) -> bool:
        """Whether the transport has been given up."""
        return self._stopped

    def start(self) -> None:
        """Control the flow from here on."""
        if self.lent is None:
            self._transport.registerProducer(self, True)

    def stop(self) -> None:
        """Give the transport up; a producer that has taken over is told to stop."""
        if self._stopped:
            return
        self._stopped = True
        self._transport.unregisterProducer()
        lent, self.lent = self.lent, None
        if lent is not None:
            lent.stopProducing()

    # What the conversation asks

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """
        Let a producer of the subclass's own control the flow of what is written.

        Whoever uses the transport in Twisted's way (FileSender, say) finds the place free.

        :raises RuntimeError: there is one already.
        """
        plain = self._transport
        if self._stopped:
            plain.registerProducer(producer, streaming)
            return
        if self.lent is not None:
            raise RuntimeError(f"{self.lent} is registered already; unregister it first")
        plain.unregisterProducer()
        if self.congested:
            self.resumeProducing()
        self.lent = producer
        self._count(True)
        plain.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        """Control the flow again: the other producer has finished."""
        plain = self._transport
        plain.unregisterProducer()
        if self.lent is not None:
            self.lent = None
            self._count(False)
            plain.registerProducer(self, True)
            self._conversation.producerFinished()

    # What the transport says

    def pauseProducing(self) -> None:
        """Take care: much waits to be sent."""
        if not self.congested:
            self.congested = True
            self._count(True)
            self._written = 0
            self._heardAt = None

    def resumeProducing(self) -> None:
        """Go on: all that was written has gone to the kernel."""
        self.congested = False
        self._count(False)
        waiting, self._waiting = self._waiting, None
        for deferred in waiting or ():
            deferred.callback(None)
        if self._conversation is None:
            return
        self._conversation.deliver()
        if not self.congested:  # by the answers to what was delivered now
            self.readOn()

    def stopProducing(self) -> None:
        """The connection is lost; ``connectionLost`` says so."""

    def _count(self, counting: bool) -> None:
        self.counting = counting
        if self._conversation is not None:
            self._conversation.straighten()

    # What the conversation says

    def hold(self, held: bool) -> None:
        """Stop reading because the conversation wants nothing now, or go on."""
        if held != self._held:
            self._held = held
            if held:
                self._transport.pauseProducing()
            else:
                self.readOn()

    def readOn(self) -> None:
        """Read again, unless there is a reason not to."""
        # After a FIN there is nothing to read, and a reader at its end would never sleep.
        conversation = self._conversation
        if not (self._held or conversation is None or conversation.peerFinished):
            self._transport.resumeProducing()

    def mayHear(self) -> bool:
        """
        Tell whether one more message may be delivered; if not, stop reading.

        Not while the answer to an earlier one has joined what waits already.
        """
        if not self.congested or self.lent is not None:
            return True
        left = bufferedBytes(self._transport)
        if self._heardAt is not None and (left is None or left > self._heardAt):
            self._transport.pauseProducing()
            return False
        self._heardAt = left or 0
        return True

    def overfull(self, written: int, limit: int) -> bool:
        """Count what is written while the peer takes nothing; tell whether it is too much."""
        self._written += written
        if self._written <= limit:
            return False
        # Some of it may have left since: ask, but only once for every limit's worth.
        left = bufferedBytes(self._transport)
        self._written = self._written if left is None else left
        return self._written > limit

    def whenFlushed(self) -> Deferred[None]:
        """Fire when nothing waits for the peer; at once if nothing does."""
        if not self.congested:
            return succeed(None)
        if self._waiting is None:
            self._waiting = []
        deferred: Deferred[None] = Deferred(self._waiting.remove)
        self._waiting.append(deferred)
        return deferred

    def over(self, reason: Failure) -> None:
        """Fail what waits: the connection is lost."""
        self._stopped = True
        self._conversation = self.lent = None  # else only the garbage collector would part us
        waiting, self._waiting = self._waiting, None
        for deferred in waiting or ():
            deferred.errback(reason)


class ConversationTransport:
    """
    What a conversation calls its transport: that transport, but for ends and producers.

    What its author habitually does with a transport is as polite as what the conversation does. As
    a wrapper of Twisted's policies has it, ``transport`` is the one beneath.
    """

    __slots__ = ("_conversation", "transport")

    def __init__(self, conversation: Any, transport: Any) -> None:
        self._conversation = conversation
        self.transport = transport

    def __getattr__(self, name: str) -> Any:
        return getattr(self.transport, name)

    __providedBy__ = property(lambda self: providedBy(self.transport))

    @property
    def protocol(self) -> Any:
        """The protocol that speaks through the transport."""
        return topProtocol(self.transport)

    @protocol.setter
    def protocol(self, other: Any) -> None:
        self._conversation.flow.stop()
        self.transport.protocol = other

    @property
    def _handedOver(self) -> bool:
        conversation = self._conversation
        if conversation.ending:
            return False
        return conversation.flow.stopped or topProtocol(self.transport) not in (conversation, None)

    def loseConnection(self) -> None:
        """End politely."""
        if self._handedOver:
            self.transport.loseConnection()
        else:
            self._conversation.endPolitely()

    def loseWriteConnection(self) -> None:
        """Finish speaking; go on listening."""
        if self._handedOver:
            self.transport.loseWriteConnection()
        else:
            self._conversation.finishSpeaking()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Let a producer of the subclass's own control the flow of what is written."""
        self._conversation.flow.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        """Control the flow again."""
        self._conversation.flow.unregisterProducer()

    def startTLS(self, *args: Any) -> None:
        """Speak TLS, in Twisted's own way, which takes the producer along."""
        self._conversation.flow.stop()
        self.transport.startTLS(*args)
