"""
The clock of a reactor, and of the TLS of its connections.

Twisted's reactors take the time from ``time.time()``: when that goes back an hour, every timer
waits an hour longer. Here it counts from the epoch as well, by the wall clock of the start, and
goes on by CLOCK_MONOTONIC. Dates that are made of it, as twisted.web's, are right until a step.

Twisted's own TLS takes its clock, and the scheduler of its pull producers, from the global reactor.
On any other reactor, bytes written would never be sent. Here it is the reactor of the connection.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, cast
from weakref import WeakKeyDictionary, WeakSet, ref

from OpenSSL.SSL import NO_OVERLAPPING_PROTOCOLS, Connection, Context, Error
from twisted.internet._newtls import _BypassTLS
from twisted.internet._producer_helpers import _PullToPush
from twisted.internet.abstract import FileDescriptor
from twisted.internet.interfaces import (
    IConnector,
    IDelayedCall,
    IListeningPort,
    IProtocolFactory,
    IProtocolNegotiationFactory,
    IReactorTime,
    ISSLTransport,
)
from twisted.internet.main import installReactor
from twisted.internet.pollreactor import PollReactor
from twisted.internet.posixbase import PosixReactorBase
from twisted.internet.ssl import CertificateOptions
from twisted.internet.task import Cooperator
from twisted.protocols.tls import BufferingTLSTransport, TLSMemoryBIOFactory
from zope.interface import directlyProvides, providedBy

from tcplab.reactor.clients import TCPConnector, UnixConnector
from tcplab.reactor.interfaces import ContextFactory

_EPOCH = time.time() - time.monotonic()


class MonotonicTime:
    """A reactor whose seconds nothing sets."""

    @staticmethod
    def seconds() -> float:
        """Return the seconds since the epoch, but for steps of the wall clock since the start."""
        return _EPOCH + time.monotonic()


class MonotonicPollReactor(MonotonicTime, PollReactor):
    """Twisted's poll reactor: for one connection, and where there is no epoll."""


def install() -> None:
    """Install it as the global reactor."""
    installReactor(MonotonicPollReactor())


# Seconds: in the next turn, as Twisted's own; zero would be in this turn, which would never end.
_SOON = 1e-8

#: One for each reactor: its producers share the time of a turn.
_cooperators: WeakKeyDictionary[IReactorTime, Cooperator] = WeakKeyDictionary()


def _cooperatorOf(reactor: IReactorTime) -> Cooperator:
    found = _cooperators.get(reactor)
    if found is None:
        weak = ref(reactor)  # a strong reference would keep the key alive

        def soon(call: Callable[[], None]) -> IDelayedCall:
            running = weak()
            assert running is not None  # it runs this function
            return running.callLater(_SOON, call)

        found = _cooperators[reactor] = Cooperator(scheduler=soon)
    return found


class _PullProducer(_PullToPush):
    """A pull producer, driven by the reactor of its connection."""

    def __init__(self, producer: object, consumer: object, reactor: IReactorTime) -> None:
        super().__init__(producer, consumer)
        self._reactor = reactor

    def startStreaming(self) -> None:
        """Ask the producer for bytes, turn by turn."""
        self._coopTask = _cooperatorOf(self._reactor).cooperate(self._pull())


class ReactorTLS(BufferingTLSTransport):
    """TLS whose clock is the reactor below it, whichever clock its factory has."""

    _reactor: IReactorTime | None = None

    def makeConnection(self, transport: Any) -> None:
        """Begin the handshake on a transport."""
        self.keepTime(transport)
        super().makeConnection(transport)

    def keepTime(self, transport: object) -> None:
        """Take the reactor of a transport as the clock, if it has one."""
        reactor = getattr(transport, "reactor", None)
        if reactor is not None:
            self._reactor = self._aggregator._clock = reactor  # type: ignore[union-attr]

    def registerProducer(self, producer: object, streaming: bool) -> None:
        """Pause and resume a producer as the buffers fill and empty."""
        if streaming or self._lostTLSConnection or self._reactor is None:
            super().registerProducer(producer, streaming)
        else:
            pulled = _PullProducer(producer, self, self._reactor)
            super().registerProducer(pulled, True)
            pulled.startStreaming()


#: Contexts that `ignoreUnknownALPN` has seen: a context is not changed once it has a connection.
_contexts: WeakSet[Context] = WeakSet()


def ignoreUnknownALPN(contextFactory: object) -> None:
    """
    Let a server's context accept a client whatever protocols it offers (ALPN), if it has none.

    The context of Twisted 26.10 refuses every client that offers any. A context with protocols
    refuses those that offer none of them, by ``no_application_protocol`` (RFC 7301, 3.2).
    """
    if not isinstance(contextFactory, CertificateOptions):
        return  # it makes its contexts by itself
    context = contextFactory.getContext()
    if context not in _contexts:
        _contexts.add(context)
        known = contextFactory._acceptableProtocols or ()
        context.set_alpn_select_callback(partial(_selectProtocol, known))


def _selectProtocol(known: Iterable[bytes], connection: Connection, offered: list[bytes]) -> Any:
    tls: Any = connection.get_app_data()
    factory = None if tls is None else IProtocolNegotiationFactory(tls.factory.wrappedFactory, None)
    accepted = [*(() if factory is None else factory.acceptableProtocols()), *known]
    if not accepted:
        return NO_OVERLAPPING_PROTOCOLS
    for each in accepted:
        if each in offered:
            return each
    raise Error([("SSL routines", "", "no application protocol in common")])


class TLSMethods:
    """A reactor's methods for TLS, with that reactor as the clock."""

    connectTCP: Callable[..., IConnector]
    listenTCP: Callable[..., IListeningPort]

    def listenSSL(
        self,
        port: int,
        factory: IProtocolFactory,
        contextFactory: ContextFactory,
        backlog: int = 50,
        interface: str = "",
    ) -> IListeningPort:
        """Listen as Twisted does, with TLS."""
        secured = self._secured(contextFactory, False, factory)
        listening = self.listenTCP(port, secured, backlog, interface)
        vars(listening)["_type"] = "TLS"  # its name in Twisted's log
        return listening

    def connectSSL(
        self,
        host: str,
        port: int,
        factory: IProtocolFactory,
        contextFactory: ContextFactory,
        timeout: float = 30,
        bindAddress: tuple[str, int] | None = None,
    ) -> IConnector:
        """Connect as Twisted does, with TLS."""
        secured = self._secured(contextFactory, True, factory)
        return self.connectTCP(host, port, secured, timeout, bindAddress)

    def _secured(
        self, contextFactory: ContextFactory, isClient: bool, factory: IProtocolFactory
    ) -> TLSMemoryBIOFactory:
        reactor: Any = self
        if not isClient:
            ignoreUnknownALPN(contextFactory)
        return TLSMemoryBIOFactory(contextFactory, isClient, factory, reactor)


class TLSReactor(TLSMethods):
    """One of Twisted's reactors with `TLSMethods` and our clients; all else is its own."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def connectTCP(
        self,
        host: str,
        port: int,
        factory: Any,
        timeout: float = 30,
        bindAddress: tuple[str, int] | None = None,
    ) -> IConnector:
        """Connect as Twisted does; a socket that is connected to itself is refused."""
        connector = TCPConnector(host, port, factory, timeout, bindAddress, self._reactor)
        connector.connect()
        return connector

    def connectUNIX(
        self, address: str, factory: Any, timeout: float = 30, checkPID: int = 0
    ) -> IConnector:
        """Connect as Twisted does; a full listen queue is waited for."""
        connector = UnixConnector(address, factory, timeout, self._reactor, checkPID)
        connector.connect()
        return connector

    __providedBy__ = property(lambda self: providedBy(self._reactor))


def withTLSClock(reactor: object) -> Any:
    """Return a reactor for endpoints: `TLSReactor` around one of Twisted's, any other unchanged."""
    if not isinstance(reactor, PosixReactorBase):
        return reactor
    stock = type(reactor).listenSSL is PosixReactorBase.listenSSL
    return TLSReactor(reactor) if stock else reactor


def startTLS(transport: Any, contextFactory: ContextFactory, normal: bool = True) -> None:
    """
    Switch a transport to TLS, as ``ITLSTransport.startTLS`` does.

    This is ``twisted.internet._newtls.startTLS`` with the transport's clock.
    """
    client = transport._tlsClientDefault == bool(normal)
    if not client:
        ignoreUnknownALPN(contextFactory)
    producer, streaming = transport.producer, transport.streamingProducer
    if producer is not None:
        transport.unregisterProducer()
    nothing = cast(IProtocolFactory, None)  # no factory is wrapped: the protocol exists already
    factory = TLSMemoryBIOFactory(contextFactory, client, nothing, transport.reactor)
    tls = ReactorTLS(factory, transport.protocol, False)
    transport.protocol = tls
    transport.getHandle = tls.getHandle
    transport.getPeerCertificate = tls.getPeerCertificate
    directlyProvides(transport, ISSLTransport)
    transport.TLS = True
    tls.makeConnection(_BypassTLS(FileDescriptor, transport))
    if producer is not None:
        transport.registerProducer(producer, streaming)
