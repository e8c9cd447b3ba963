"""
TLS whose clock is the reactor of its connection.

Twisted's own TLS takes its clock, and the scheduler of its pull producers, from the global reactor.
On any other reactor, bytes written would never be sent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast
from weakref import WeakKeyDictionary, ref

from twisted.internet._newtls import _BypassTLS
from twisted.internet._producer_helpers import _PullToPush
from twisted.internet.abstract import FileDescriptor
from twisted.internet.interfaces import (
    IConnector,
    IDelayedCall,
    IListeningPort,
    IProtocolFactory,
    IReactorTime,
    ISSLTransport,
)
from twisted.internet.posixbase import PosixReactorBase
from twisted.internet.task import Cooperator
from twisted.protocols.tls import BufferingTLSTransport, TLSMemoryBIOFactory
from zope.interface import directlyProvides, providedBy

from tcplab.reactor.interfaces import ContextFactory

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
        return TLSMemoryBIOFactory(contextFactory, isClient, factory, reactor)


class TLSReactor(TLSMethods):
    """One of Twisted's reactors with `TLSMethods`; all other methods are its own."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

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
