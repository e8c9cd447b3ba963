"""
Conversation: a protocol with flow control, half-close and a graceful close.

Its states, each entered at most once and in this order:

1. connected: ``makeConnection`` was called. With TLS, the handshake runs; no hook is called yet.
2. ``started``: the greeting was sent and ``connectionMade`` called. Messages are delivered.
3. ``peerFinished``: FIN or close_notify was received. When all before it is delivered,
   ``_inputEnded`` is set and ``readConnectionLost`` called. Writing is still possible.
4. ``ending``: `hangUp` was called, with or without state 3. Input is read and discarded.
5. lost: ``connectionLost`` was called, if the conversation had started.

The transport calls ``dataReceived``. On the fast path that calls ``messageReceived`` at once; else
it feeds ``framing`` and calls ``deliver``, which calls ``messageReceived`` for each whole message.
``send`` and ``write`` call ``raw.write``. When the transport pauses or resumes ``flow``, its
`FlowControl`, that calls ``_updateFastPath`` and ``deliver``. ``self.transport`` is a
`ConversationTransport`: its ``loseConnection`` calls ``closeGracefully``, hence `LingeringClose`,
which calls ``_stopWriting`` and ``_closeNow``. The transport reports FIN and the loss to
``_readClosed`` and ``_connectionLost``, which then call the subclass's hooks.
"""

from __future__ import annotations

import inspect
import warnings
from asyncio import CancelledError
from collections.abc import Callable, Mapping
from difflib import SequenceMatcher
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IAddress,
    IHalfCloseableProtocol,
    IHandshakeListener,
    IReactorTime,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.tcp import BaseClient
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from tcplab.protocols.flow import ConversationTransport, FlowControl
from tcplab.protocols.lingering import LingeringClose
from tcplab.reactor.coalescing import CoalescingTransport
from tcplab.reactor.interfaces import StreamTransport
from tcplab.reactor.stack import (
    bottomTransport,
    isTLS,
    keepUrgentData,
    reactorOf,
    removeEndpointWrapper,
    setReason,
    socketTransport,
)
from tcplab.wire.framing import Framing, FramingError, Stream
from tcplab.wire.reasons import Reason
from tcplab.wire.texts import notBytes

log = Logger("tcplab.protocols.machinery")

#: A conversation's settings by name, as its factory passes them to be checked.
SettingValues = Mapping[str, Any]

# The hooks, and the arguments of each.
_HOOKS = {
    "connectionMade": ("self",),
    "messageReceived": ("self", "message"),
    "readConnectionLost": ("self",),
    "connectionDraining": ("self",),
    "connectionLost": ("self", "reason"),
}


def _checkHook(owner: type, name: str, arguments: tuple[str, ...]) -> None:
    """Refuse a hook that could not be called, or would do nothing."""
    hook = vars(owner).get(name)
    if not inspect.isfunction(hook):
        return
    if inspect.isgeneratorfunction(hook) or inspect.isasyncgenfunction(hook):
        raise TypeError(f"{owner.__name__}.{name} is a generator, which nothing runs: use Dialogue")
    try:
        inspect.signature(hook).bind(*arguments)
    except TypeError:
        written = f"def {name}({', '.join(arguments)})"
        raise TypeError(f"{owner.__name__}.{name} has other arguments: write {written}") from None


def _warnOfMisspelling(owner: type, level: int = 4) -> None:
    """Warn of methods that are nearly named like a hook: nothing calls them."""
    for name, value in vars(owner).items():
        if name.startswith("_") or name in _HOOKS or not inspect.isfunction(value):
            continue
        plain = name.replace("_", "").lower()
        for hook in _HOOKS:
            alike = plain == hook.lower() or SequenceMatcher(None, name, hook).ratio() > 0.9
            if alike and hook not in vars(owner):
                text = f"{owner.__name__}.{name} is no hook: did you mean {hook}?"
                warnings.warn(text, UserWarning, stacklevel=level)


def _checkBytes(what: str, value: object) -> None:
    if not isinstance(value, bytes):
        raise notBytes(what, value) from None


#: What a hook may raise: ``sys.exit()`` ends its connection too, and not the server.
_RAISED = (Exception, SystemExit, CancelledError)


@implementer(IHalfCloseableProtocol, IHandshakeListener)
class Conversation(Protocol):
    """
    One connection's protocol; subclass it and answer in ``messageReceived``.

    >>> class Shout(Conversation):
    ...     greeting = b"say something"
    ...     framing = Lines
    ...     def messageReceived(self, message):
    ...         self.send(message.upper())
    >>> peer = connected(Shout)
    >>> peer.write(b"hi\\n")
    >>> peer.value()
    b'say something\\nHI\\n'

    The settings below are class attributes; a `ConversationFactory` overrides them for what it
    builds. All hooks are optional, and none needs ``super()``. An exception in a hook is logged
    once and aborts this connection only.

    :cvar greeting: bytes that are sent first, framed, after the TLS handshake.
    :cvar framing: cuts the stream into messages; a class of `tcplab.wire.framing`, of which each
        connection gets an instance.
    :cvar lingerTimeout: seconds in which the peer has to finish after this end has.
    :cvar maxUnsent: bytes that may wait for a peer that does not read. Writing more aborts.
        **Limit:** one ``write()`` is always accepted in full, however large.
    :cvar clock: runs the deadlines; ``None`` means the reactor of the connection.

    :ivar flow: its flow control.
    :ivar raw: the transport below ``self.transport``.
    :ivar started: ``connectionMade`` was called; see the states above.
    :ivar ending: this end is closing, or the connection is lost. No input is delivered any more.
    :ivar peerFinished: the peer has sent FIN or close_notify.
    """

    greeting: bytes = b""
    framing: Any = Stream  # the class here, its instance on a connection
    lingerTimeout: float = 2.0  # a round trip is well under a second; nginx lingers for 5
    maxUnsent: int = 2**20
    clock: IReactorTime | None = None

    transport: Any
    raw: StreamTransport
    flow: FlowControl
    started = False
    ending = False
    peerFinished = False
    _flowControl: type[FlowControl] = FlowControl
    _descriptors = 1  # file descriptors of a connection; two, where it causes another connection
    _lingering: LingeringClose | None = None
    _dataHook: Callable[[], bool] | None = None
    _fastPath: Framing | None = None  # see _updateFastPath
    _bypassFraming = True
    _delivering = False
    _inputEnded = False
    _lastMessage = False
    _writeClosed = False

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        for name, arguments in _HOOKS.items():
            if inspect.iscoroutinefunction(getattr(cls, name)):
                raise TypeError(f"{cls.__name__}.{name} is a coroutine: use Dialogue for that")
            _checkHook(cls, name, arguments)
        _warnOfMisspelling(cls)
        if isinstance(cls.greeting, str):
            raise notBytes(f"{cls.__name__}.greeting", cls.greeting)
        if isinstance(cls.framing, Framing | str):
            raise TypeError(f"{cls.__name__}.framing takes the class itself, as in framing = Lines")

    # The hooks

    def connectionMade(self) -> None:
        """Begin: the greeting was sent; with TLS, the handshake is complete."""

    def messageReceived(self, message: bytes) -> None:
        """Take one whole message, without its delimiter; with `Stream`, the bytes of one read."""

    def readConnectionLost(self) -> None:
        """
        Close: the peer has finished, and every message was delivered.

        A subclass may go on writing instead: the connection is half-closed.
        """
        self.hangUp()

    def connectionDraining(self) -> None:
        """
        Finish the work in hand: the server drains.

        A framed conversation hangs up, after a message that has been received in part. A stream
        hangs up when the peer finishes. Both do so after ``lingerTimeout`` seconds without input.
        """
        if isinstance(self.framing, Stream):
            self._closing.closeAfterIdle()
        elif self.framing.hasPartialMessage:
            self._lastMessage = True
            self._closing.closeAfterIdle()
        else:
            self.hangUp()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Clean up: the connection is closed. Not called if ``connectionMade`` was not."""

    @classmethod
    def checkSettings(cls, settings: SettingValues) -> None:
        """
        Refuse settings that contradict each other; the factory calls it once.

        :param settings: all of them, by name.
        :raises TypeError: they are refused; the text is one line.
        """

    @classmethod
    def checkListening(cls, settings: SettingValues, host: IAddress) -> None:
        """
        Refuse to be served on an address; called for each port, once it listens.

        :param settings: all of them, by name.
        :param host: the address of the port.
        :raises ValueError: it is refused; the text is one line.
        """

    # What a subclass calls

    def send(self, message: bytes) -> None:
        """
        Send one message in this conversation's framing.

        :raises FramingError: the framing has no form for it (for example, a newline within a line).
        :raises TypeError: the message is not bytes.
        """
        try:
            if self._fastPath is self.framing:
                self.raw.write(message)
            elif not self._writeClosed:
                self._write(self.framing.frame(message))
        except (TypeError, AttributeError):
            self._explain("send()", message)
            raise

    def write(self, data: bytes) -> None:
        """
        Send bytes without framing. After ``hangUp`` they are dropped.

        :raises TypeError: they are not bytes.
        """
        try:
            if not self._writeClosed:
                self._write(data)
        except (TypeError, AttributeError):
            self._explain("write()", data)
            raise

    def _explain(self, method: str, data: object) -> None:
        """Raise an error that says what to do, if the cause is a well-known mistake."""
        _checkBytes(method, data)
        if not self.connected:
            raise RuntimeError(
                f"{method} before there is a connection: set greeting, or use connectionMade"
            ) from None

    def _write(self, data: bytes) -> None:
        if self.flow.counting and self.flow.exceeds(len(data), self.maxUnsent):
            self.abort(Reason.UNREAD)
        else:
            self.raw.write(data)

    def hangUp(self) -> None:
        """
        Close gracefully: send what was written, half-close, and read until the peer's end.

        What the peer still sends is discarded, so that no reset destroys the last bytes on their
        way. **Limit:** a peer that has not finished ``lingerTimeout`` seconds later is aborted.
        """
        if self.ending:
            return
        if self.peerFinished and self.started and self._lingering is None:
            self.ending = True
            self._closeNow()
        else:
            self._closing.hangUp()

    def abort(self, why: Reason | None = None) -> None:
        """
        Reset the connection; what was not sent is dropped.

        :param why: the reason that the log gives.
        """
        if why is not None:
            setReason(self.raw, why)
        self.raw.abortConnection()

    def report(self, message: bytes) -> None:
        """
        Pass a message to the server's observers, such as the log.

        :raises TypeError: the message is not bytes.
        """
        _checkBytes("report()", message)
        bottom = bottomTransport(self.raw)
        if isinstance(bottom, CoalescingTransport):
            bottom.messageReported(message)

    @property
    def peer(self) -> IAddress:
        """The address of the other end: the real one, behind a PROXY header."""
        return self.raw.getPeer()

    @property
    def writable(self) -> bool:
        """Whether the peer keeps up: bytes written now are sent soon."""
        return not self.flow.congested

    def whenFlushed(self) -> Deferred[None]:
        """
        Fire once it is time to write more, at once if it is.

        It fails with the reason when the connection is lost. **Limit:** up to 64 KiB here, and what
        the kernel holds, may still be unsent.
        """
        return self.flow.whenFlushed()

    # Start

    def makeConnection(self, transport: Any) -> None:
        """Use a transport of any kind, and start; on TLS, after the handshake."""
        self.connected = 1
        if isinstance(transport, ConversationTransport):
            transport = transport.transport  # of a conversation that hands over to this one
        removeEndpointWrapper(transport, self)
        self.framing = self.framing()
        # In front of the hooks, so that none needs super(); deleted when the connection is lost.
        self.readConnectionLost = self._readClosed  # type: ignore[method-assign]
        self.connectionLost = self._connectionLost  # type: ignore[method-assign]
        self._attach(transport)
        self._updateFastPath()
        if not isinstance(transport, TLSMemoryBIOProtocol):
            self._begin()

    def _attach(self, transport: StreamTransport) -> None:
        self.raw = transport
        if isinstance(transport, BaseClient):
            keepUrgentData(transport)
        self.transport = ConversationTransport(self, transport)
        self.flow = self._flowControl(self, transport)

    def handshakeCompleted(self) -> None:
        """Start: the TLS handshake is complete."""
        self._begin()

    def _begin(self) -> None:
        self.started = True
        if not isinstance(self.raw, TLSMemoryBIOProtocol) and isTLS(self.raw):
            # TLS below another wrapper does not report the end of its handshake. The greeting waits
            # in TLS; a registered producer would be paused by that, and nothing would be read.
            self.setDataHook(self._handshakeEnded)
        else:
            self.flow.start()
        try:
            if self.greeting:
                self.send(self.greeting)
            self.connectionMade()
        except _RAISED:
            self._failed()

    def _handshakeEnded(self) -> bool:
        self.setDataHook(None)
        self.flow.start()
        return True

    # Input

    def dataReceived(self, data: bytes) -> None:
        """Cut the input into messages and deliver them."""
        if self._fastPath is self.framing:
            try:
                self.messageReceived(data)
            except _RAISED:
                self._failed()
        elif not self.ending and (self._dataHook is None or self._dataHook()):
            self.framing.feed(data)
            self.deliver()

    def _updateFastPath(self) -> None:
        """
        Decide whether input goes directly to the hook, and messages directly to the transport.

        They do while nothing is framed, hooked, counted or closed, which holds for most bytes.
        """
        fast = (
            self.framing.__class__ is Stream
            and self._bypassFraming
            and self._dataHook is None
            and not (self.flow.counting or self._writeClosed or self.ending)
        )
        self._fastPath = self.framing if fast else None

    def setDataHook(self, hook: Callable[[], bool] | None) -> None:
        """
        Call a function before input is taken.

        :param hook: returns whether the input is taken, else it is dropped; ``None`` for no hook.
        """
        self._dataHook = hook
        self._updateFastPath()

    def deliver(self) -> None:
        """Deliver what was received, one whole message at a time, while answers can be sent."""
        if self._delivering:
            return  # the hook that runs now wrote so much that flow control paused and resumed
        self._delivering = True
        try:
            while not self.ending and self.flow.mayDeliver():
                message = self.framing.next()
                if message is not None:
                    # An exception here is the hook's own, also if it cannot frame its answer.
                    try:
                        self.messageReceived(message)
                        if self._lastMessage:
                            self.hangUp()
                    except _RAISED:
                        self._failed()
                        break
                elif self.peerFinished and not self._inputEnded:
                    self._endInput()
                else:
                    break
        except FramingError as error:
            self._framingFailed(error)
        except _RAISED:
            self._failed()
        finally:
            self._delivering = False

    def _readClosed(self) -> None:
        if self.peerFinished:
            return
        self.peerFinished = True
        if self.ending:
            self._closing.peerFinished()
        elif self._fastPath is self.framing and not self._delivering:
            # All input was delivered at once: nothing is left.
            self._inputEnded = True
            self._callHook(type(self).readConnectionLost, self)
        else:
            self.deliver()

    def _endInput(self) -> None:
        self._inputEnded = True
        tail = self._tail(self.framing)
        if tail is not None:
            if not self._callHook(self.messageReceived, tail):
                return
            if self._lastMessage:
                self.hangUp()
        if not self.ending:
            self._callHook(type(self).readConnectionLost, self)

    def _tail(self, framing: Framing) -> bytes | None:
        # On TLS a FIN without close_notify may have cut the last line: it is no message then.
        return None if getattr(self.raw, "truncated", False) else framing.finish()

    # Failures

    def _callHook(self, hook: Callable[..., object], *args: object) -> bool:
        """Call a hook, and return whether it raised no exception."""
        try:
            hook(*args)
        except _RAISED:
            self._failed()
            return False
        return True

    def _failed(self, failure: Failure | None = None) -> None:
        name = type(self).__name__
        log.failure("{name} failed", failure, name=name, log_system=self._logPrefix())
        self.abort(Reason.ERROR)

    def _framingFailed(self, error: FramingError) -> None:
        log.warn("{error}", error=str(error), log_system=self._logPrefix())
        setReason(self.raw, Reason.ERROR)
        self.hangUp()

    def _logPrefix(self) -> str:
        bottom = socketTransport(self.raw)
        return type(self).__name__ if bottom is None else bottom.logPrefix()

    # The end

    @property
    def _closing(self) -> LingeringClose:
        if self._lingering is None:  # only now: an idle connection needs no memory for it
            self._lingering = LingeringClose(self)
        return self._lingering

    @property
    def _clock(self) -> IReactorTime:
        return self.clock or reactorOf(self.raw)

    def closeGracefully(self) -> None:
        """Close as ``transport.loseConnection()`` does: once a registered producer has finished."""
        self._closing.loseConnection()

    def closeWrite(self) -> None:
        """Half-close, once a registered producer has finished; go on reading."""
        self._closing.loseWriteConnection()

    def producerUnregistered(self) -> None:
        """Close, if that waited for a registered producer."""
        self._closing.producerUnregistered()

    def writeConnectionLost(self) -> None:
        """Take note that FIN was sent."""
        self._closing.finSent()

    def _stopWriting(self) -> None:
        self._writeClosed = True
        self._fastPath = None
        flow = self.flow
        flow.stop()
        if flow.congested:
            flow.resumeProducing()  # no answer joins what waits any more

    def _closeNow(self) -> None:
        # As soon as all is sent: the peer has finished, or there is no half-close.
        self._stopWriting()
        self.raw.loseConnection()

    def _connectionLost(self, reason: Failure = connectionDone) -> None:
        del self.readConnectionLost, self.connectionLost
        self.ending = True
        if self._lingering is not None:
            self._lingering.connectionLost()
        self.flow.connectionLost(reason)
        if self.started:
            self._callHook(self.connectionLost, reason)
        if isinstance(self.transport, ConversationTransport):
            self.transport.connectionLost()
