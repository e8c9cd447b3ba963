"""Tests for `tcplab.policies.pendingconnections`."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet import reactor
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tcplab.listener.listener import Listener
from tcplab.observers import Observers
from tcplab.policies import pendingconnections
from tcplab.policies.pendingconnections import PendingConnection, ProxyHeaderFilter, proxiedPeer
from tcplab.protocols import ConversationFactory, Echo
from tcplab.wire.proxyheader import InetAddress, ProxyHeader
from tests.support.proxy_clients import ADA, BLOCK, LINE, Announcing

TCP = "tcp:0:interface=127.0.0.1"


class HeaderTests(SynchronousTestCase):
    """A filter on one end of a socket pair; the test is its reactor, and makes connections."""

    def start(self, data: bytes = b"", deadline: float | None = 5.0) -> PendingConnection:
        """Let the filter accept a connection with some bytes."""
        self.reactor = MemoryReactorClock()
        self.made: list[Any] = []
        self.refused: list[str] = []
        self.pending: dict[PendingConnection, None] = {}
        self.peer, client = socket.socketpair()
        self.addCleanup(self.peer.close)
        self.addCleanup(client.close)
        self.client = client
        self.peer.sendall(data)
        filter = ProxyHeaderFilter(
            Listener("test", Observers()),
            versions=frozenset((1, 2)),
            deadline=deadline,
            pending=self.pending,
            maxPending=9,
            trusts=lambda address: True,
            onRefused=lambda listener, address, reason, problem: self.refused.append(reason),
        )
        filter.accepted(client, b"", self)
        return next(iter(self.pending), None)  # type: ignore[return-value]

    def connectFiltered(
        self, client: socket.socket, address: object, peer: Any = None, local: bool = False, /
    ) -> None:
        self.made.append(peer.header.family)

    def send(self, connection: PendingConnection, data: bytes) -> None:
        self.peer.sendall(data)
        connection.doRead()

    def assertDone(self, made: list[str], refused: list[str]) -> None:
        self.assertEqual((self.made, self.refused, self.pending), (made, refused, {}))
        self.assertEqual((self.reactor.getReaders(), self.reactor.getDelayedCalls()), ([], []))
        self.assertEqual(self.client.fileno() == -1, not made)

    def test_completeAtOnce(self) -> None:
        """Then the reactor is not needed; the bytes behind the header stay in the socket."""
        self.assertIsNone(self.start(BLOCK + b"\x16rest"))
        self.assertDone(["TCP4"], [])
        self.assertEqual(self.client.recv(100), b"\x16rest")

    def test_inPieces(self) -> None:
        """The beginning of a header does not stay in the kernel: it would wake the reactor."""
        connection = self.start(LINE[:5])
        self.assertEqual(self.reactor.getReaders(), [connection])
        self.assertRaises(BlockingIOError, self.client.recv, 1, socket.MSG_DONTWAIT)
        self.send(connection, LINE[5:-1])
        connection.doRead()  # without any bytes
        self.send(connection, b"\nrest")
        self.assertDone(["TCP4"], [])
        self.assertEqual(self.client.recv(100), b"rest")

    def test_deadline(self) -> None:
        """It is absolute."""
        connection = self.start()
        for at in range(10):
            self.reactor.advance(0.499)
            self.send(connection, LINE[at : at + 1])
        self.assertEqual(self.refused, [])
        self.reactor.advance(0.011)
        self.assertDone([], ["handshake-timeout"])

    def test_shortenDeadline(self) -> None:
        for deadline, before in ((5.0, 4.5), (None, 1e9)):
            connection = self.start(deadline=deadline)
            self.reactor.advance(before)
            connection.shortenDeadline(1.0)
            self.reactor.advance(0.4)
            self.assertEqual(self.refused, [])
            self.reactor.advance(0.1 if deadline else 0.6)
            self.assertDone([], ["handshake-timeout"])

    def test_ended(self) -> None:
        """A header may be malformed, or cut short; before its first byte it is a health check."""
        connection = self.start(b"PROXY T")
        self.send(connection, b"x")  # the first wrong byte suffices
        self.assertDone([], ["header"])
        for data, refused in ((LINE[:9], ["header"]), (b"", [])):
            connection = self.start(data)
            self.peer.close()
            connection.doRead()
            self.assertDone([], refused)
        connection = self.start(LINE[:9])
        for _ in range(2):  # the reactor disconnects all
            connection.connectionLost(Failure(ConnectionDone()))
        self.assertDone([], [])


class Pending(Announcing):
    async def pending(self, data: bytes = LINE[:9]) -> socket.socket:
        """Connect a client, and wait until its connection is pending."""
        before = len(self.policy.pending)
        client = self.client(data)
        await self.until(lambda: len(self.policy.pending) > before)
        return client

    async def ready(self) -> socket.socket:
        """Suspend the listener, and wait until a header is complete."""
        client = await self.pending()
        opened = len(self.told.opened)
        self.listener.suspend("test")
        client.sendall(LINE[9:] + b"hi")
        client.shutdown(socket.SHUT_WR)
        await self.until(lambda: not self.policy.pending)
        self.assertEqual((len(self.listener.filter or ()), len(self.told.opened)), (1, opened))
        return client

    async def assertReset(self, client: socket.socket) -> None:
        self.assertIn(await self.ended(client), (b"reset", b""))


class DrainTests(Pending):
    async def test_served(self) -> None:
        """A header that is complete in time is served, and the connection asked to finish."""
        await self.announce(ConversationFactory(Echo, lingerTimeout=0.05))
        client = await self.pending()
        await self.port.stopListening()
        self.listener.drain()
        empty = self.listener.whenEmpty()
        self.assertFalse(empty.called)
        client.sendall(LINE[9:] + b"hi")
        self.assertEqual(await self.ended(client), b"hi")
        await empty
        # Then the listener may get another port.
        self.port = await serverFromString(reactor, TCP).listen(self.port.factory)
        self.addCleanup(self.port.stopListening)
        self.listener.addPort(self.port)
        self.host = self.port.getHost()
        client = self.client(BLOCK + b"hi")
        self.assertEqual(await self.talk(client.recv, 9), b"hi")

    async def test_expired(self) -> None:
        """The others are reset after the grace, or the deadline if that is shorter."""
        for grace, deadline in ((0.05, None), (1000.0, 0.05)):
            self.patch(pendingconnections, "DRAIN_GRACE", grace)
            await self.announce(ConversationFactory(Echo), deadline=deadline)
            client = await self.pending()
            self.listener.drain()
            await self.listener.whenEmpty()
            await self.assertReset(client)
            self.assertIn("why=handshake-timeout", self.lines[0])

    async def test_closed(self) -> None:
        """A client that closes ends the wait, too."""
        await self.announce(ConversationFactory(Echo))
        client = await self.pending(b"")
        empty = self.listener.whenEmpty()
        client.close()
        await empty

    async def test_abort(self) -> None:
        """At once, and without a report."""
        for connect in (self.pending, self.ready):
            await self.announce(ConversationFactory(Echo))
            client = await connect()
            self.assertEqual(self.listener.abort(), 0)
            self.assertTrue(self.listener.empty)
            await self.assertReset(client)
            self.assertEqual((self.lines, self.told.opened), ([], []))


class SuspendedTests(Pending):
    async def test_resume(self) -> None:
        """The header is read; the connection waits for the last reason, or for a drain."""
        await self.announce(ConversationFactory(Echo))
        client = await self.ready()
        self.listener.suspend("another")
        self.listener.resume("test")
        self.assertEqual(self.told.opened, [])
        self.listener.resume("another")
        self.assertEqual(await self.heard(client), b"hi")
        client = await self.ready()
        self.listener.drain()
        self.assertEqual(await self.heard(client), b"hi")


class Broken(Factory):
    noisy = False
    broken = True

    def buildProtocol(self, address: object) -> Protocol | None:
        if self.broken:
            raise RuntimeError("I am broken")
        return None


class ManyTests(Pending):
    async def test_maxPending(self) -> None:
        """The oldest connections are reset."""
        await self.announce(ConversationFactory(Echo), maxPending=3)
        clients = [await self.pending() for _ in range(3)]
        for _ in range(2):
            oldest = next(iter(self.policy.pending))
            clients.append(self.client())
            await self.until(lambda: oldest not in self.policy.pending)  # noqa: B023
        for client in clients[:2]:
            await self.assertReset(client)
        for client, data in zip(clients[2:], (LINE[9:], LINE, LINE), strict=True):
            client.sendall(data + b"hi")
            client.shutdown(socket.SHUT_WR)
            self.assertEqual(await self.heard(client), b"hi")
        self.policy.stop()
        self.assertIn("3 later connections wait for their headers", self.lines[0])
        self.assertEqual(sum(event["count"] for event in self.logged), 2)

    async def test_noProtocol(self) -> None:
        """A factory that fails is logged once; in either case nothing is left."""
        factory = Broken()
        await self.announce(factory)
        for broken in (True, False):
            factory.broken = broken
            client = await self.pending()
            empty = self.listener.whenEmpty()
            client.sendall(LINE[9:])
            await self.assertReset(client)
            await empty
            self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), int(broken))


class ProxiedPeerTests(SynchronousTestCase):
    def test_peers(self) -> None:
        mapped = InetAddress.of("::ffff:192.0.2.1", 5)
        for family, source, expected in (
            ("TCP4", ADA, IPv4Address("TCP", "203.0.113.9", 4711)),
            ("UDP4", ADA, IPv4Address("UDP", "203.0.113.9", 4711)),
            ("TCP6", InetAddress.of("2001:DB8:0::1", 5), IPv6Address("TCP", "2001:db8::1", 5)),
            ("TCP6", mapped, IPv4Address("TCP", "192.0.2.1", 5)),
            ("UNIX", b"/a", UNIXAddress(b"/a")),
            ("UNIX", b"", UNIXAddress(None)),
        ):
            header = ProxyHeader(2, "PROXY", family, source, source)  # type: ignore[arg-type]
            self.assertEqual(proxiedPeer(header), (expected, header))
        for header in (ProxyHeader(1), ProxyHeader(2, "LOCAL")):
            self.assertIsNone(proxiedPeer(header))
