"""Tests for `tcplab.policies.deadlines` on real sockets, in a time that the tests let pass."""

from __future__ import annotations

import select
import socket
from typing import Any

from OpenSSL import SSL
from twisted.internet import reactor
from twisted.internet.defer import DeferredQueue
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock, deferLater

from tcplab.policies.deadlines import Deadlines
from tcplab.protocols.echo import Echo
from tcplab.protocols.factory import ConversationFactory
from tcplab.reactor.stack import bottomTransport, bufferedBytes, unacknowledgedBytes
from tests.support.socket_server import Serving

HUGE = 2**24  # bytes: more than fits in any buffer


class Sends(Protocol):
    """A protocol of Twisted's own kind, which sends as many bytes as its factory says."""

    def connectionMade(self) -> None:
        factory: Any = self.factory
        factory.queue.put(self)
        self.transport.write(bytes(factory.size))  # type: ignore[union-attr]
        if factory.closes:
            self.transport.loseConnection()  # type: ignore[union-attr]


class Watched(Serving):
    async def watched(
        self, factory: Any, endpoint: str = "tcp:0:interface=127.0.0.1", **limits: Any
    ) -> None:
        self.clock = Clock()
        self.told = await self.serve(factory, endpoint)
        deadlines = Deadlines(**{"clock": self.clock, **limits})
        deadlines.watch(self.listener)
        self.addCleanup(deadlines.stop)

    async def accepted(
        self, size: int, *args: str, closes: bool = False, tls: bool = False, **limits: Any
    ) -> Any:
        """Serve a protocol that sends bytes, connect, and return the server's transport."""
        factory: Any = Factory.forProtocol(Sends)
        factory.noisy = False
        factory.size, factory.closes, factory.queue = size, closes, DeferredQueue()
        await self.watched(factory, *([self.tlsEndpoint()] if tls else args), **limits)
        self.peer = self.client()
        if tls:
            self.peer.settimeout(None)  # OpenSSL takes a socket with a time limit for non-blocking
            self.tls = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), self.peer)
            self.tls.set_connect_state()
            await self.talk(self.tls.do_handshake)
        self.protocol = await factory.queue.get()
        transport: Any = bottomTransport(self.protocol.transport)
        await self.until(lambda: transport.established)
        return transport

    def client(self) -> socket.socket:
        """Connect a peer with a small buffer, which does not read."""
        sock = socket.socket(self.port.socket.family)
        self.addCleanup(sock.close)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(10)
        sock.connect(self.port.socket.getsockname())
        return sock

    async def full(self, transport: Any) -> None:
        """Wait until the kernel takes no more."""
        await self.until(lambda: not select.select([], [transport.socket], [], 0)[1])
        await self.atRest(transport)

    async def atRest(self, transport: Any) -> None:
        """Wait until the peer's kernel has acknowledged all that it will: it takes its time."""
        left = -1
        while left != (left := unacknowledgedBytes(transport)):
            await deferLater(reactor, 0.25)  # type: ignore[arg-type]

    async def wait(self, seconds: float) -> None:
        """Let time pass for the policy, and the reactor turn meanwhile."""
        for _ in range(round(seconds / 0.25)):
            self.clock.advance(0.25)
            await self.turns(1)

    async def assertEnds(self, why: str, after: float) -> None:
        """Check that the connection ends soon after a time, and not before."""
        await self.wait(after - 1)
        self.assertEqual(self.told.endings, [])
        await self.wait(3)
        ending = await self.told.ending()
        self.assertEqual((ending.by, ending.how, ending.why), ("server", "reset", why))


class WriteTests(Watched):
    """Peers that do not read."""

    async def test_plain(self) -> None:
        """Any protocol is served, also one that has closed with bytes to send."""
        for closes in (False, True):
            await self.full(await self.accepted(HUGE, closes=closes))
            await self.assertEnds("write-timeout", 30)

    async def test_allInTheKernel(self) -> None:
        """Also when this process holds no bytes."""
        transport = await self.accepted(100_000)
        await self.until(lambda: transport.sent == 100_000)
        self.assertEqual(bufferedBytes(transport), 0)
        self.assertGreater(unacknowledgedBytes(transport), 0)
        await self.atRest(transport)
        await self.assertEnds("write-timeout", 30)

    async def test_slowReader(self) -> None:
        transport = await self.accepted(HUGE)
        await self.full(transport)
        for _ in range(4):
            await self.wait(25)
            before = unacknowledgedBytes(transport)
            while unacknowledgedBytes(transport) > before - 4096:  # its window opens in steps
                await self.talk(self.peer.recv, 4096)
        self.assertEqual(self.told.endings, [])

    async def test_echo(self) -> None:
        """A peer that sends and never reads is held back, then reset."""
        await self.watched(ConversationFactory(Echo))
        client = self.client()
        client.setblocking(False)
        await self.until(lambda: self.listener.connections)
        (transport,) = self.listener.connections
        await self.until(lambda: self._stuffed(client) and bufferedBytes(transport))
        await self.wait(32)
        self.assertEqual((await self.told.ending()).why, "write-timeout")

    def _stuffed(self, client: socket.socket) -> bool:
        try:
            client.send(bytes(65536))
        except BlockingIOError:
            return True
        return False

    async def test_unix(self) -> None:
        """On a Unix socket only bytes in this process wait."""
        await self.full(await self.accepted(HUGE, f"unix:{self.unixPath()}"))
        await self.assertEnds("write-timeout", 30)


class TLSTests(Watched):
    """Peers that stop in the middle of TLS."""

    async def test_handshake(self) -> None:
        """It is reset in time, whether the peer sends nothing or a byte now and then."""
        for hello in (b"", b"\x16\x03\x01\x02\x00" + b"\x01" * 5):  # of a record of 512 bytes
            await self.watched(Factory.forProtocol(Protocol), self.tlsEndpoint())
            client = self.client()
            await self.until(lambda: self.listener.connections)
            (transport,) = self.listener.connections
            for number in range(9):
                client.send(hello[number : number + 1])
                await self.until(lambda: transport.received > number or not hello)  # noqa: B023
                await self.wait(0.5)
            self.assertEqual(self.told.endings, [])
            await self.wait(1)
            ending = await self.told.ending()
            self.assertEqual((ending.how, ending.why), ("reset", "handshake-timeout"))
            self.assertEqual(self.told.opened, [])

    async def test_closeNotify(self) -> None:
        """An answer to it is not awaited for ever."""
        transport = await self.accepted(0, tls=True)
        self.protocol.transport.loseConnection()
        await self.until(lambda: not unacknowledgedBytes(transport))
        await self.assertEnds("write-timeout", 30)

    async def test_write(self) -> None:
        """What counts is what the kernel takes of the ciphertext."""
        await self.full(await self.accepted(HUGE, tls=True))
        await self.assertEnds("write-timeout", 30)


class ClockTests(Watched):
    async def test_reactor(self) -> None:
        """Without a clock it is the time of the port's reactor."""
        await self.accepted(HUGE, write=0.1, clock=None)
        self.assertEqual((await self.told.ending()).why, "write-timeout")
