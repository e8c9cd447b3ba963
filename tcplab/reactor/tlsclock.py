"""
TLS on the reactor of its connection.

Twisted's own TLS takes its clock, and the scheduler of its pull producers, from the global reactor.
On any other reactor what was written would wait for ever.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
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

# Seconds: in the next turn, and not in this one, which would never end. As for Twisted's own.
_SOON = 1e-8

#: One for each reactor: what it may do in a turn is divided between all producers.
_cooperators: WeakKeyDictionary[IReactorTime, Cooperator] = WeakKeyDictionary()


def _cooperatorOf(reactor: IReactorTime) -> Cooperator:
    found = _cooperators.get(reactor)
    if found is None:
        weak = ref(reactor)  # else the value would keep its key

        def soon(call: Callable[[], None]) -> IDelayedCall:
            running = weak()
            assert running is not None  # it is running this
            return running.callLater(_SOON, call)

        found = _cooperators[reactor] = Cooperator(scheduler=soon)
    return found


class _PullProducer(_PullToPush):
    """A pull producer that is asked again and again, by the reactor of its connection."""

    def __init__(self, producer: object, consumer: object, reactor: IReactorTime) -> None:
        super().__init__(producer, consumer)
        self._reactor = reactor

    def startStreaming(self) -> None:
        """Begin."""
        self._coopTask = _cooperatorOf(self._reactor).cooperate(self._pull())


class ReactorTLS(BufferingTLSTransport):
    """TLS that keeps the time of the reactor beneath it, whichever clock its factory has."""

    _reactor: IReactorTime | None = None

    def makeConnection(self, transport: Any) -> None:
        """Begin the handshake on a transport."""
        self.keepTime(transport)
        super().makeConnection(transport)

    def keepTime(self, transport: object) -> None:
        """Take the clock of a transport, if it has one."""
        reactor = getattr(transport, "reactor", None)
        if reactor is not None:
            self._reactor = self._aggregator._clock = reactor  # type: ignore[union-attr]

    def registerProducer(self, producer: object, streaming: bool) -> None:
        """Let a producer control the flow."""
        if streaming or self._lostTLSConnection or self._reactor is None:
            super().registerProducer(producer, streaming)
        else:
            pulled = _PullProducer(producer, self, self._reactor)
            super().registerProducer(pulled, True)
            pulled.startStreaming()


class TLSMethods:
    """A reactor's methods for TLS, which keeps the time of that reactor."""

    connectTCP: Any
    listenTCP: Any

    def listenSSL(
        self,
        port: int,
        factory: IProtocolFactory,
        contextFactory: Any,
        backlog: int = 50,
        interface: str = "",
    ) -> IListeningPort:
        """Listen as ever, with TLS."""
        secured = self._secured(contextFactory, False, factory)
        listening: IListeningPort = self.listenTCP(port, secured, backlog, interface)
        vars(listening)["_type"] = "TLS"  # as it is called in Twisted's log
        return listening

    def connectSSL(
        self,
        host: str,
        port: int,
        factory: IProtocolFactory,
        contextFactory: Any,
        timeout: float = 30,
        bindAddress: tuple[str, int] | None = None,
    ) -> IConnector:
        """Connect as ever, with TLS."""
        secured = self._secured(contextFactory, True, factory)
        connector: IConnector = self.connectTCP(host, port, secured, timeout, bindAddress)
        return connector

    def _secured(
        self, contextFactory: Any, isClient: bool, factory: IProtocolFactory
    ) -> TLSMemoryBIOFactory:
        reactor: Any = self
        return TLSMemoryBIOFactory(contextFactory, isClient, factory, reactor)


class TLSReactor(TLSMethods):
    """One of Twisted's reactors, with `TLSMethods`; all else is the reactor's own."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    __providedBy__ = property(lambda self: providedBy(self._reactor))


def withTLSClock(reactor: Any) -> Any:
    """Return a reactor for endpoints: the given one, or that with methods for TLS of ours."""
    stock = getattr(type(reactor), "listenSSL", None) is PosixReactorBase.listenSSL
    return TLSReactor(reactor) if stock else reactor


def startTLS(transport: Any, contextFactory: Any, normal: bool = True) -> None:
    """
    Speak TLS on a transport from here on, as ``ITLSTransport.startTLS`` has it.

    It is ``twisted.internet._newtls.startTLS``, with the transport's clock.
    """
    client = transport._tlsClientDefault == bool(normal)
    producer, streaming = transport.producer, transport.streamingProducer
    if producer is not None:
        transport.unregisterProducer()
    nothing: Any = None  # to be wrapped: the protocol is there already
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
