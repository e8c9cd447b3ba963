"""An endpoint around another, with limits on its connections and their time."""

from __future__ import annotations

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import (
    IListeningPort,
    IProtocolFactory,
    IReactorTime,
    IStreamServerEndpoint,
)
from zope.interface import implementer

from tcplab.listener.listener import Listener, WrappingEndpoint
from tcplab.observers import FaultLog, Observers
from tcplab.policies.admission import Admission
from tcplab.policies.deadlines import Deadlines
from tcplab.policies.descriptors import ensureDescriptorLimit
from tcplab.protocols.factory import descriptorsOf


class LimitedError(ValueError):
    """The port of another endpoint cannot be limited; the text is one line."""


@implementer(IStreamServerEndpoint)
class LimitedEndpoint(WrappingEndpoint):
    """
    Listen where another endpoint does, with `Admission` and `Deadlines`.

    Both watch the port: nothing stands between transport and protocol. So they count what connects
    to the port: behind a proxy, the peers are the proxy.

    Both are policies of the port's listener, see `Listener.of`: one that adds the port later takes
    them over.

    :param reactor: keeps the time.
    :param endpoint: where to listen.
    :param maxConnections: ``None`` for as many as there can be descriptors.
    :param maxPerPeer: ``None`` for no limit.
    :param deadlines: seconds, by the names that `Deadlines` has for them.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        endpoint: IStreamServerEndpoint,
        *,
        maxConnections: int | None = None,
        maxPerPeer: int | None = None,
        **deadlines: float | None,
    ) -> None:
        super().__init__(endpoint)
        self._reactor = reactor
        self._maxConnections = maxConnections
        self._maxPerPeer = maxPerPeer
        self._deadlines = deadlines

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        """
        Listen.

        :return: fires with the port of the other endpoint; with a `DescriptorsError` or a
            `LimitedError` if it cannot be limited, and then nothing listens.
        """
        return Deferred.fromCoroutine(self._listen(protocolFactory))

    async def _listen(self, factory: IProtocolFactory) -> IListeningPort:
        policies = self._policies(
            ensureDescriptorLimit(self._maxConnections, each=descriptorsOf(factory))
        )
        port = await self.endpoint.listen(factory)
        listener = Listener.of(port, "limit", Observers(FaultLog(self._reactor)))
        if listener is None:
            if IListeningPort.providedBy(port):
                await maybeDeferred(port.stopListening)
            raise LimitedError(f"limit: {port} is not one of Twisted's own stream ports")
        for policy in policies:
            policy.watch(listener)
        return port

    def _policies(self, maxConnections: int) -> list[Admission | Deadlines]:
        return [
            Admission(
                maxConnections=maxConnections, maxPerPeer=self._maxPerPeer, clock=self._reactor
            ),
            Deadlines(clock=self._reactor, **self._deadlines),
        ]
