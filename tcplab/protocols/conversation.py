"""A protocol with good manners: flow control, half-close honoured, a polite end."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

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

from tcplab.protocols.flow import Flow
from tcplab.protocols.politeend import PoliteEnd
from tcplab.reactor.beneath import because, lowest, secured
from tcplab.wire.framing import FramingError, Stream

log = Logger()

_HOOKS = (
    "connectionMade",
    "messageReceived",
    "readConnectionLost",
    "connectionDraining",
    "connectionLost",
)


@implementer(IHalfCloseableProtocol, IHandshakeListener)
class Conversation(Protocol):
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

        A framed conversation is between two messages when it is told, and hangs up; a stream has
        none, and hangs up at the peer's end or after ``lingerTimeout`` seconds of silence.
        """
        if isinstance(self.framing, Stream):
            self._end.afterSilence()
        else:
            self.hangUp()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is over; not called if ``connectionMade`` was not."""

    # What a conversation does

    def send(self, message: bytes) -> None:
        """
        Say one message, in this conversation's framing.

        :raises FramingError: the framing cannot say it (a newline within a line, say).
        """
        framing, flow = self.framing, self.flow
        data = message if framing.__class__ is Stream else framing.frame(message)
        if flow.counting and flow.overfull(len(data), self.maxUnsent):
            self.abort("unread")
        else:
            self.transport.write(data)

    def write(self, data: bytes) -> None:
        """Say these bytes as they are. After ``hangUp`` they are dropped."""
        if self.flow.counting and self.flow.overfull(len(data), self.maxUnsent):
            self.abort("unread")
        else:
            self.transport.write(data)

    def hangUp(self) -> None:
        """
        End politely: send what was written, finish, and let the peer finish.

        What the peer still says is read and dropped, so that no reset destroys our last words on
        their way. A peer that has not finished ``lingerTimeout`` seconds after us is aborted.
        """
        self._end.hangUp()

    def abort(self, why: str | None = None) -> None:
        """Reset the connection; what was not sent is dropped. ``why`` stands in the log."""
        if why is not None:
            because(self.transport, why)
        self.transport.abortConnection()

    def report(self, message: bytes) -> None:
        """Tell the server's observers (the log) what the peer said."""
        tell = getattr(lowest(self.transport), "messageReported", None)
        if tell is not None:
            tell(message)

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

    # The machinery: from here on nothing is meant to be overridden

    transport: Any
    flow: Flow
    peerFinished = False
    begun = False
    _delivering = False
    _direct = True
    _inputOver = False
    # Asked before data is taken, and says whether it is; None while there is nothing special.
    attention: Callable[[], bool] | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in _HOOKS:
            if inspect.iscoroutinefunction(getattr(cls, name)):
                raise TypeError(f"{cls.__name__}.{name} is a coroutine: use Dialogue for that")

    def makeConnection(self, transport: ITransport) -> None:
        """Begin on a transport of any kind."""
        self.connected = 1
        self.framing = self.framing()
        self._end = PoliteEnd(self)
        # In front of the hooks, so that none needs super(); gone when the connection is.
        self.readConnectionLost = self._peerFinishes  # type: ignore[method-assign]
        self.connectionLost = self._lost  # type: ignore[method-assign]
        self._speakThrough(transport)
        if not isinstance(transport, TLSMemoryBIOProtocol):
            self._begin()

    def _speakThrough(self, transport: Any) -> None:
        self.transport = transport
        self.flow = Flow(self, transport)
        # A subclass's habitual transport.loseConnection() is a polite end too.
        transport.loseConnection = self._end.loseConnection

    def handshakeCompleted(self) -> None:
        """TLS is through: begin."""
        self._begin()

    def _begin(self) -> None:
        self.begun = True
        if secured(self.transport) and not isinstance(self.transport, TLSMemoryBIOProtocol):
            # TLS beneath another wrapper: the handshake's end is not told. The greeting waits in
            # TLS, and a registered producer would be paused by that, so that nothing were read.
            self.attention = self._handshakeOver
        else:
            self.flow.start()
        self._attempt(self._greet)

    def _greet(self) -> None:
        if self.greeting:
            self.send(self.greeting)
        self.connectionMade()

    def _handshakeOver(self) -> bool:
        self.attention = None
        self.flow.start()
        return True

    def _attempt(self, hook: Callable[..., object], *args: object) -> None:
        try:
            hook(*args)
        except Exception:
            self._failed()

    def _failed(self) -> None:
        log.failure("{name} failed", name=type(self).__name__, log_system=self._logPrefix())
        self.abort("error")

    def _logPrefix(self) -> str:
        return str(getattr(lowest(self.transport), "logstr", type(self).__name__))

    # What comes

    def dataReceived(self, data: bytes) -> None:
        """Cut what came into messages and deliver them."""
        if self.attention is not None and not self.attention():
            return
        if self.framing.__class__ is Stream and self._direct and not self.flow.congested:
            # The same, for what is a message as it stands: the way of most bytes.
            try:
                self.messageReceived(data)
            except Exception:
                self._failed()
        else:
            self.framing.feed(data)
            self.deliver()

    def deliver(self) -> None:
        """Deliver what has come, one whole message at a time, while the peer takes the answers."""
        if self._delivering:
            return  # the hook that runs now wrote so much that we were paused and resumed
        self._delivering = True
        try:
            while not self._end.begun and (not self.flow.congested or self.flow.lent):
                message = self.framing.next()
                if message is not None:
                    self.messageReceived(message)
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
        because(self.transport, "error")
        self.hangUp()

    def _peerFinishes(self) -> None:
        if self.peerFinished:
            return
        self.peerFinished = True
        if self._end.begun:
            self._end.peerFinished()
        else:
            self.deliver()

    def _endInput(self) -> None:
        self._inputOver = True
        # On TLS a FIN without close_notify may have cut the last line: it is no message then.
        truncated = getattr(self.transport, "truncated", False)
        tail = None if truncated else self.framing.finish()
        if tail is not None:
            self.messageReceived(tail)
        if not self._end.begun:
            type(self).readConnectionLost(self)

    # The end

    def writeConnectionLost(self) -> None:
        """Our FIN has been sent."""
        self._end.finishSent()

    def producerFinished(self) -> None:
        """Another producer has given the flow back."""
        self._end.producerFinished()

    def _lost(self, reason: Failure = connectionDone) -> None:
        del self.readConnectionLost, self.connectionLost
        del self.transport.loseConnection
        self._end.over()
        self.flow.over(reason)
        if self.begun:
            self._attempt(self.connectionLost, reason)
