"""Endpoints around others: whatever is served or called through them meets faults."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import (
    IListeningPort,
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from tcplab.faults.fault import ListenerFault
from tcplab.faults.faults import Faults
from tcplab.faults.parse import parseFault
from tcplab.faults.spec import FaultError, FaultSpec
from tcplab.listener.listener import Listener
from tcplab.observers import FaultLog, Observers
from tcplab.reactor.stack import removeEndpointWrapper


def _anywhere(fault: str) -> FaultSpec:
    spec = parseFault(fault)
    if spec.listener is not None:
        raise FaultError(
            f"fault {fault!r}: an endpoint's listeners have no names: leave @{spec.listener} out"
        )
    return spec


@implementer(IStreamServerEndpoint)
class FaultedServerEndpoint:
    """
    Listen where another endpoint does, with a fault.

    The port that listens has `Faults` among its ``policies``: a `Listener` that is told to watch it
    afterwards takes them over.

    :param reactor: keeps the time.
    :param endpoint: where to listen.
    :param fault: as text.
    :param seed: of the dice.
    :raises FaultError: the text is no fault, or one of a listener.
    """

    def __init__(
        self, reactor: Any, endpoint: IStreamServerEndpoint, fault: str, *, seed: int | None = None
    ) -> None:
        self._reactor = reactor
        self._endpoint = endpoint
        self._fault = _anywhere(fault)
        self._seed = seed

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        """
        Listen.

        :return: fires with the port of the other endpoint; with a `FaultError` if what it listens
            with is none of Twisted's own stream ports, and then nothing listens.
        """
        return Deferred.fromCoroutine(self._listen(protocolFactory))

    async def _listen(self, factory: IProtocolFactory) -> IListeningPort:
        port: Any = await self._endpoint.listen(factory)
        listener = Listener("fault", Observers(FaultLog(self._reactor)))
        # Those of an endpoint within this one come after ours: nearer to the wire.
        within = getattr(port, "policies", ())
        port.policies = ()
        if not listener.addPort(port):
            await maybeDeferred(getattr(port, "stopListening", lambda: None))
            raise FaultError(f"fault: {port} is not one of Twisted's own stream ports")
        faults = Faults(seed=self._seed, clock=self._reactor)
        faults.add(self._fault)
        port.policies = [faults, *within]
        for policy in port.policies:
            policy.stop()
            policy.watch(listener)
        return port  # type: ignore[no-any-return]


@implementer(IStreamClientEndpoint)
class FaultedClientEndpoint:
    """
    Connect as another endpoint does, with a fault.

    :param reactor: keeps the time.
    :param endpoint: where to connect.
    :param fault: as text; ``conn`` counts the connections that this endpoint makes.
    :param seed: of the dice.
    :raises FaultError: the text is no fault, or none for who connects.
    """

    def __init__(
        self, reactor: Any, endpoint: IStreamClientEndpoint, fault: str, *, seed: int | None = None
    ) -> None:
        spec = _anywhere(fault)
        if isinstance(spec.fault, ListenerFault):
            raise FaultError(f"fault {fault!r}: {spec.fault.kind} is for who listens")
        self._endpoint = endpoint
        self._number = 0
        self._faults = Faults(seed=seed, clock=reactor, client=True, observers=FaultLog(reactor))
        self._faults.add(spec)

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """
        Connect.

        :return: fires with the protocol; fails as that of the other endpoint.
        """
        factory = _Factory(protocolFactory, self)
        connecting: Deferred[Any] = self._endpoint.connect(factory)
        return connecting.addCallback(lambda _: factory.built)

    def made(self, transport: Any) -> None:
        """Put the fault in the way of a connection, if it hits."""
        self._number += 1
        filter = self._faults.connect(transport, "client", self._number)
        if filter is not None and not isinstance(transport, TLSMemoryBIOProtocol):
            filter.start()  # over TLS after the handshake


class _Factory(Factory):
    """Build protocols that are connected through faults."""

    noisy = False
    built: Any = None

    def __init__(self, wrapped: Any, endpoint: FaultedClientEndpoint) -> None:
        self.wrappedFactory = wrapped
        self._endpoint = endpoint

    def doStart(self) -> None:
        """Start."""
        self.wrappedFactory.doStart()

    def doStop(self) -> None:
        """Stop."""
        self.wrappedFactory.doStop()

    def buildProtocol(self, addr: Any) -> Any:
        """Build one, and what puts it in its place."""
        protocol = self.built = self.wrappedFactory.buildProtocol(addr)
        return None if protocol is None else _InsertingProtocol(protocol, self._endpoint)


class _InsertingProtocol(Protocol):
    """Give its place to the protocol, with faults before it, as soon as there is a transport."""

    def __init__(self, protocol: Any, endpoint: FaultedClientEndpoint) -> None:
        self._protocol = protocol
        self._endpoint = endpoint

    def logPrefix(self) -> str:
        """Log under the protocol's name."""
        return str(self._protocol.logPrefix())

    def makeConnection(self, transport: Any) -> None:
        """Step aside."""
        removeEndpointWrapper(transport, self)
        wrapper = isinstance(transport, TLSMemoryBIOProtocol)
        setattr(transport, "wrappedProtocol" if wrapper else "protocol", self._protocol)
        self._endpoint.made(transport)
        self._protocol.makeConnection(transport)
