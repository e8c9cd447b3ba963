"""A listener that expects the PROXY protocol, and clients that stand where a proxy would."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet import reactor
from twisted.internet.address import UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.testing import EventLoggingObserver
from twisted.logger import Logger, formatEvent

from tcplab.policies import proxyprotocol as module
from tcplab.policies.proxyprotocol import ProxyProtocol
from tcplab.wire.proxyheader import InetAddress, writeHeader
from tests.support.socket_server import Serving, readAll

net: Any = reactor

ADA = InetAddress.of("203.0.113.9", 4711)
LAB = InetAddress.of("198.51.100.2", 443)
LINE = writeHeader(1, ADA, LAB)
BLOCK = writeHeader(2, ADA, LAB, checksum=True)


class Announcing(Serving):
    """Serve on real sockets, behind proxies that are on this machine."""

    async def announce(
        self,
        factory: Any,
        endpoint: str = "tcp:0:interface=127.0.0.1",
        version: str = "any",
        trusted: tuple[str, ...] = ("127.0.0.1",),
        **more: Any,
    ) -> ProxyProtocol:
        """Serve; what is logged, told and the policy are kept on the test."""
        self.logged = EventLoggingObserver()
        self.patch(module, "log", Logger(observer=self.logged))
        self.told = await self.serve(factory, endpoint)
        self.policy = ProxyProtocol(version, trusted, **more)
        self.policy.watch(self.listener)
        self.addCleanup(self._nothingLeft)
        self.addCleanup(self._emptied, self.listener)
        return self.policy

    async def _emptied(self, listener: Any) -> None:
        listener.abort()
        await listener.whenEmpty()

    def _nothingLeft(self) -> None:
        self.policy.stop()
        self.assertEqual((len(self.listener.filter or ()), self.policy.pending), (0, {}))

    @property
    def lines(self) -> list[str]:
        """What the policy has logged so far."""
        return [formatEvent(event) for event in self.logged]

    def client(self, data: bytes = b"", source: str = "127.0.0.1") -> socket.socket:
        """Connect as the proxy, and send bytes."""
        if isinstance(self.host, UNIXAddress):
            sock = super().client()
        else:
            place = ("127.0.0.1", self.host.port)
            sock = socket.create_connection(place, timeout=10, source_address=(source, 0))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.addCleanup(sock.close)
        sock.sendall(data)
        return sock

    def heard(self, sock: socket.socket) -> Deferred[bytes]:
        """Read to the end, in a thread."""
        return self.talk(readAll, sock)


def facts(line: bytes) -> dict[str, str]:
    """Return the fields of a line of ``whoami``, as its users read them."""
    return dict(fact.split("=", 1) for fact in line.decode("ascii").split())
