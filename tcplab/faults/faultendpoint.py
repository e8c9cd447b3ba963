"""Endpoints around others, which put faults on the connections of a Twisted server or client."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import (
    IAddress,
    IListeningPort,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from tcplab.faults.fault import ListenerFault
from tcplab.faults.faults import Faults
from tcplab.faults.spec import FaultError, FaultSpec, parseFault
from tcplab.listener.listener import Listener, WrappingEndpoint
from tcplab.observers import FaultLog, Observers
from tcplab.reactor.stack import removeEndpointWrapper


def _parse(fault: str) -> FaultSpec:
    spec = parseFault(fault)
    if spec.listener is not None:
        raise FaultError(
            f"fault {fault!r}: an endpoint's listeners have no names: leave @{spec.listener} out"
        )
    return spec


@implementer(IStreamServerEndpoint)
class FaultedServerEndpoint(WrappingEndpoint):
    """
    Listen where another endpoint does, with a fault.

    `Faults` is a policy of the port's listener, see `Listener.of`: one that adds the port later
    takes it over.

    :param reactor: keeps the time.
    :param endpoint: where to listen.
    :param fault: as text.
    :param seed: of the random numbers.
    :raises FaultError: the text is not a fault, or names a listener.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        endpoint: IStreamServerEndpoint,
        fault: str,
        *,
        seed: int | None = None,
    ) -> None:
        super().__init__(endpoint)
        self._reactor = reactor
        self._fault = _parse(fault)
        self._seed = seed

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        """
        Listen.

        :return: fires with the port of the other endpoint. It fails with a `FaultError` if that is
            not one of Twisted's own stream ports, and then nothing listens.
        """
        return Deferred.fromCoroutine(self._listen(protocolFactory))

    async def _listen(self, factory: IProtocolFactory) -> IListeningPort:
        port: Any = await self.endpoint.listen(factory)
        listener = Listener.of(port, "fault", Observers(FaultLog(self._reactor)))
        if listener is None:
            if IListeningPort.providedBy(port):
                await maybeDeferred(port.stopListening)
            raise FaultError(f"fault: {port} is not one of Twisted's own stream ports")
        faults = Faults(seed=self._seed, clock=self._reactor)
        faults.add(self._fault)
        # First: the faults of an endpoint within this one are nearer to the socket.
        listener.addPolicy(faults, first=True)
        faults.watch(listener)
        listening: IListeningPort = port
        return listening


@implementer(IStreamClientEndpoint)
class FaultedClientEndpoint:
    """
    Connect as another endpoint does, with a fault.

    :param reactor: keeps the time.
    :param endpoint: where to connect.
    :param fault: as text; ``conn`` counts the connections that this endpoint makes.
    :param seed: of the random numbers.
    :raises FaultError: the text is not a fault, or not one for a client.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        endpoint: IStreamClientEndpoint,
        fault: str,
        *,
        seed: int | None = None,
    ) -> None:
        spec = _parse(fault)
        if isinstance(spec.fault, ListenerFault):
            raise FaultError(f"fault {fault!r}: {spec.fault.kind} is for listeners")
        self._endpoint = endpoint
        self._number = 0
        observers = Observers(FaultLog(reactor))
        self._faults = Faults(seed=seed, clock=reactor, client=True, observers=observers)
        self._faults.add(spec)

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """
        Connect.

        :return: fires with the protocol; fails as that of the other endpoint.
        """
        factory = _InsertingFactory(protocolFactory, self)
        return self._endpoint.connect(factory).addCallback(lambda _: factory.built)

    def connectionMade(self, transport: Any) -> None:
        """Insert the fault into a connection, if it hits."""
        self._number += 1
        filter = self._faults.connect(transport, "client", self._number)
        if filter is not None and not isinstance(transport, TLSMemoryBIOProtocol):
            filter.start()  # over TLS it starts after the handshake


class _InsertingFactory(Factory):
    """Build protocols that are connected through faults."""

    noisy = False
    built: Any = None

    def __init__(self, wrapped: Any, endpoint: FaultedClientEndpoint) -> None:
        self.wrappedFactory = wrapped
        self._endpoint = endpoint

    def doStart(self) -> None:
        """Start the factory."""
        self.wrappedFactory.doStart()

    def doStop(self) -> None:
        """Stop the factory."""
        self.wrappedFactory.doStop()

    def buildProtocol(self, addr: IAddress | None) -> Protocol | None:
        """Build a protocol, and a placeholder that inserts the fault."""
        protocol = self.built = self.wrappedFactory.buildProtocol(addr)
        return None if protocol is None else _InsertingProtocol(protocol, self._endpoint)


class _InsertingProtocol(Protocol):
    """Hold the place of a protocol until there is a transport; then insert faults between them."""

    def __init__(self, protocol: Any, endpoint: FaultedClientEndpoint) -> None:
        self._protocol = protocol
        self._endpoint = endpoint

    def logPrefix(self) -> str:
        """Log under the protocol's name."""
        return str(self._protocol.logPrefix())

    def makeConnection(self, transport: Any) -> None:
        """Give the protocol its place, with faults before it."""
        removeEndpointWrapper(transport, self)
        if isinstance(transport, TLSMemoryBIOProtocol):
            transport.wrappedProtocol = self._protocol
        else:
            transport.protocol = self._protocol
        self._endpoint.connectionMade(transport)
        self._protocol.makeConnection(transport)
