"""
What drives a conversation: it calls the hooks, and sees to it that they can do no harm.

Nothing here is meant to be overridden, except by `Dialogue`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import (
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

from tcplab.protocols.flow import ConversationTransport, Flow
from tcplab.protocols.politeend import PoliteEnd
from tcplab.reactor.beneath import because, lowest, secured, standAlone
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
        def abort(self, why: str | None = None) -> None: ...

    transport: Any
    raw: Any
    flow: Flow
    begun = False
    ending = False
    peerFinished = False
    attention: Callable[[], bool] | None = None
    _politeEnd: PoliteEnd | None = None
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
        standAlone(transport, self)
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

    def _newFlow(self, transport: Any) -> Flow:
        return Flow(self, transport)

    def handshakeCompleted(self) -> None:
        """TLS is through: begin."""
        self._begin()

    def _begin(self) -> None:
        self.begun = True
        if not isinstance(self.raw, TLSMemoryBIOProtocol) and secured(self.raw):
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
        self.abort("error")

    def _logPrefix(self) -> str:
        return str(getattr(lowest(self.transport), "logstr", type(self).__name__))

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
        because(self.transport, "error")
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
    def _end(self) -> PoliteEnd:
        if self._politeEnd is None:  # made when it comes: ten thousand may only wait
            self._politeEnd = PoliteEnd(self)
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
