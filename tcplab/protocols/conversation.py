"""A protocol with good manners: flow control, half-close honoured, a polite end."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IAddress,
    IHalfCloseableProtocol,
    IHandshakeListener,
    IReactorTime,
    ITransport,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from tcplab.protocols.flow import ConversationTransport, FlowControl
from tcplab.protocols.lingering import LingeringClose, closeNow
from tcplab.reactor.coalescing import CoalescingTransport
from tcplab.reactor.stack import bottomTransport, isTLS, removeEndpointWrapper, setReason
from tcplab.wire.framing import FramingError, Stream
from tcplab.wire.reasons import Reason

log = Logger("tcplab.protocols.machinery")

_HOOKS = (
    "connectionMade",
    "messageReceived",
    "readConnectionLost",
    "connectionDraining",
    "connectionLost",
)


@implementer(IHalfCloseableProtocol, IHandshakeListener)
class Machinery(Protocol):
    """
    The part of a `Conversation` that its subclasses need not know.

    :ivar flow: its flow control.
    :ivar begun: the hooks have been called: the handshake is through.
    :ivar ending: we have decided to end, or it is over: nothing that comes is delivered any more.
    :ivar peerFinished: the peer will say nothing more.
    :ivar attention: asked before data is taken, and says whether it is; ``None`` while there is
        nothing special.
    """

    if TYPE_CHECKING:  # what Conversation says
        greeting: bytes
        framing: Any
        lingerTimeout: float
        clock: IReactorTime | None

        def messageReceived(self, message: bytes) -> None: ...
        def readConnectionLost(self) -> None: ...
        def send(self, message: bytes) -> None: ...
        def write(self, data: bytes) -> None: ...
        def hangUp(self) -> None: ...
        def abort(self, why: Reason | None = None) -> None: ...

    transport: Any
    raw: Any
    flow: FlowControl
    begun = False
    ending = False
    peerFinished = False
    attention: Callable[[], bool] | None = None
    _politeEnd: LingeringClose | None = None
    _straight: Any = None  # see `straighten`
    _delivering = False
    _direct = True
    _inputOver = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in _HOOKS:
            if inspect.iscoroutinefunction(getattr(cls, name, None)):
                raise TypeError(f"{cls.__name__}.{name} is a coroutine: use Dialogue for that")

    def makeConnection(self, transport: ITransport) -> None:
        """Begin on a transport of any kind."""
        self.connected = 1
        if isinstance(transport, ConversationTransport):
            transport = transport.transport  # of a conversation that hands over to this one
        removeEndpointWrapper(transport, self)
        self.framing = self.framing()
        # In front of the hooks, so that none needs super(); gone when the connection is.
        self.readConnectionLost = self._peerFinishes  # type: ignore[method-assign]
        self.connectionLost = self._lost  # type: ignore[method-assign]
        self._speakThrough(transport)
        self.straighten()
        if not isinstance(transport, TLSMemoryBIOProtocol):
            self._begin()

    def _speakThrough(self, transport: Any) -> None:
        self.raw = transport
        self.transport = ConversationTransport(self, transport)
        self.flow = self._newFlow(transport)

    def _newFlow(self, transport: Any) -> FlowControl:
        return FlowControl(self, transport)

    def handshakeCompleted(self) -> None:
        """TLS is through: begin."""
        self._begin()

    def _begin(self) -> None:
        self.begun = True
        if not isinstance(self.raw, TLSMemoryBIOProtocol) and isTLS(self.raw):
            # TLS beneath another wrapper: the handshake's end is not told. The greeting waits in
            # TLS, and a registered producer would be paused by that, so that nothing were read.
            self.heed(self._handshakeOver)
        else:
            self.flow.start()
        try:
            if self.greeting:
                self.send(self.greeting)
            self.connectionMade()
        except Exception:
            self._failed()

    def _handshakeOver(self) -> bool:
        self.heed(None)
        self.flow.start()
        return True

    def _attempt(self, hook: Callable[..., object], *args: object) -> bool:
        """Call a hook, and tell whether it went well."""
        try:
            hook(*args)
        except Exception:
            self._failed()
            return False
        return True

    def _failed(self, failure: Failure | None = None) -> None:
        name = type(self).__name__
        log.failure("{name} failed", failure, name=name, log_system=self._logPrefix())
        self.abort(Reason.ERROR)

    def _logPrefix(self) -> str:
        return str(getattr(bottomTransport(self.transport), "logstr", type(self).__name__))

    # What comes

    def dataReceived(self, data: bytes) -> None:
        """Cut what came into messages and deliver them."""
        if self._straight is self.framing:
            try:
                self.messageReceived(data)
            except Exception:
                self._failed()
        elif self.attention is None or self.attention():
            self.framing.feed(data)
            self.deliver()

    def straighten(self) -> None:
        """
        See whether bytes may go straight to the hook, and answers straight to the transport.

        They do where nothing is cut, nobody pays attention and nothing waits: the way of most
        bytes. What is asked for that is all here, in one place in memory.
        """
        straight = (
            self.framing.__class__ is Stream
            and self._direct
            and self.attention is None
            and not self.flow.counting
        )
        self._straight = self.framing if straight else None

    def heed(self, attention: Callable[[], bool] | None) -> None:
        """Have this asked before data is taken."""
        self.attention = attention
        self.straighten()

    def deliver(self) -> None:
        """Deliver what has come, one whole message at a time, while the peer takes the answers."""
        if self._delivering:
            return  # the hook that runs now wrote so much that we were paused and resumed
        self._delivering = True
        try:
            while not self.ending and self.flow.mayHear():
                message = self.framing.next()
                if message is not None:
                    # What a hook raises is its own failure, also an answer that cannot be framed.
                    try:
                        self.messageReceived(message)
                    except Exception:
                        self._failed()
                        break
                elif self.peerFinished and not self._inputOver:
                    self._endInput()
                else:
                    break
        except FramingError as error:
            self._misunderstood(error)
        except Exception:
            self._failed()
        finally:
            self._delivering = False

    def _misunderstood(self, error: FramingError) -> None:
        log.warn("{error}", error=str(error), log_system=self._logPrefix())
        setReason(self.transport, Reason.ERROR)
        self.hangUp()

    def _peerFinishes(self) -> None:
        if self.peerFinished:
            return
        self.peerFinished = True
        if self.ending:
            self._end.peerFinished()
        elif self._straight is self.framing and not self._delivering:
            # What came was delivered as it came: there is nothing left.
            self._inputOver = True
            self._attempt(type(self).readConnectionLost, self)
        else:
            self.deliver()

    def _endInput(self) -> None:
        self._inputOver = True
        # On TLS a FIN without close_notify may have cut the last line: it is no message then.
        truncated = getattr(self.transport, "truncated", False)
        tail = None if truncated else self.framing.finish()
        if tail is not None and not self._attempt(self.messageReceived, tail):
            return
        if not self.ending:
            self._attempt(type(self).readConnectionLost, self)

    # The end

    @property
    def _end(self) -> LingeringClose:
        if self._politeEnd is None:  # made when it comes: ten thousand may only wait
            self._politeEnd = LingeringClose(self)
        return self._politeEnd

    def writeConnectionLost(self) -> None:
        """Our FIN has been sent."""
        self._end.finishSent()

    def endPolitely(self) -> None:
        """End, as the transport's ``loseConnection``."""
        self._end.loseConnection()

    def finishSpeaking(self) -> None:
        """Finish speaking, as the transport's ``loseWriteConnection``."""
        self._end.loseWriteConnection()

    def producerFinished(self) -> None:
        """Another producer has given the flow back."""
        self._end.producerFinished()

    def _lost(self, reason: Failure = connectionDone) -> None:
        del self.readConnectionLost, self.connectionLost
        self.ending = True
        if self._politeEnd is not None:
            self._politeEnd.over()
        self.flow.over(reason)
        if self.begun:
            self._attempt(self.connectionLost, reason)


class Conversation(Machinery):
    """
    What a peer says: subclass it, say what you are told in ``messageReceived``.

    The settings below are class attributes; a `ConversationFactory` overrides them for what it
    builds. All hooks are optional, and none needs ``super()``. An exception in a hook is logged
    once and aborts this connection, and no other.

    :cvar greeting: said first, framed, once TLS is through.
    :cvar framing: cuts the stream into messages; a class of `tcplab.wire.framing`.
    :cvar lingerTimeout: seconds a peer has to finish after we have.
    :cvar maxUnsent: bytes that may wait for a peer that does not read; to write more then aborts.
    :cvar clock: for the deadlines; ``None`` means the reactor of the connection.
    """

    greeting: bytes = b""
    framing: Any = Stream
    lingerTimeout: float = 2.0  # a round trip is well under a second; nginx lingers for 5
    maxUnsent: int = 2**20
    clock: IReactorTime | None = None

    # The hooks

    def connectionMade(self) -> None:
        """A peer is here and has been greeted; with TLS, after the handshake."""

    def messageReceived(self, message: bytes) -> None:
        """One whole message came, without its delimiter; with `Stream`, whatever came."""

    def readConnectionLost(self) -> None:
        """The peer has finished and every message was delivered; we may still speak."""
        self.hangUp()

    def connectionDraining(self) -> None:
        """
        The server wants to end: finish what is in hand.

        A framed conversation hangs up, after the message that the peer is in the middle of; a
        stream has none, and hangs up at the peer's end. Both do after ``lingerTimeout`` seconds of
        silence.
        """
        if isinstance(self.framing, Stream):
            self._end.afterSilence()
        elif self.framing.hasPartialMessage:
            self._end.afterMessage()
        else:
            self.hangUp()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is over; not called if ``connectionMade`` was not."""

    @classmethod
    def checkSettings(cls, settings: Mapping[str, Any]) -> None:
        """
        Refuse settings that make no sense; asked by the factory, once.

        :param settings: all of them, by name.
        :raises TypeError: they make none; the text is one line.
        """

    @classmethod
    def checkListening(cls, settings: Mapping[str, Any], host: IAddress) -> None:
        """
        Refuse to be served there; asked for each port, once it listens.

        :raises ValueError: it must not be; the text is one line.
        """

    # What a conversation does

    def send(self, message: bytes) -> None:
        """
        Say one message, in this conversation's framing.

        :raises FramingError: the framing cannot say it (a newline within a line, say).
        """
        if self._straight is self.framing:
            self.raw.write(message)
        else:
            self._say(self.framing.frame(message))

    def write(self, data: bytes) -> None:
        """Say these bytes as they are. After ``hangUp`` they are dropped."""
        self._say(data)

    def _say(self, data: bytes) -> None:
        if self.flow.counting and self.flow.overfull(len(data), self.maxUnsent):
            self.abort(Reason.UNREAD)
        else:
            self.raw.write(data)

    def hangUp(self) -> None:
        """
        End politely: send what was written, finish, and let the peer finish.

        What the peer still says is read and dropped, so that no reset destroys our last words on
        their way. A peer that has not finished ``lingerTimeout`` seconds after us is aborted.
        """
        if self.ending:
            return
        if self.peerFinished and self.begun and self._politeEnd is None:
            self.ending = True
            closeNow(self)
        else:
            self._end.hangUp()

    def abort(self, why: Reason | None = None) -> None:
        """Reset the connection; what was not sent is dropped. ``why`` stands in the log."""
        if why is not None:
            setReason(self.transport, why)
        self.transport.abortConnection()

    def report(self, message: bytes) -> None:
        """
        Tell the server's observers (the log) what the peer said.

        :raises TypeError: these are no bytes.
        """
        if not isinstance(message, bytes):
            raise TypeError(f"report() takes bytes, not {type(message).__name__}")
        bottom = bottomTransport(self.transport)
        if isinstance(bottom, CoalescingTransport):
            bottom.messageReported(message)

    @property
    def peer(self) -> IAddress:
        """Who is at the other end."""
        return self.transport.getPeer()  # type: ignore[no-any-return]

    @property
    def writable(self) -> bool:
        """Whether the peer keeps up: what is written now leaves soon."""
        return not self.flow.congested

    def whenFlushed(self) -> Deferred[None]:
        """
        Fire once the peer has taken enough that it is time to write more; at once if it has.

        Up to 64 KiB, and what the kernel holds, may still be on its way. It fails with the reason
        when the connection is lost.
        """
        return self.flow.whenFlushed()
