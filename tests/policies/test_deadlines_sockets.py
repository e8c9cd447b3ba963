"""Tests for `tcplab.policies.deadlines` on real sockets, in a time that the tests let pass."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from typing import Any

from OpenSSL import SSL
from twisted.internet import reactor
from twisted.internet.defer import DeferredQueue
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock, deferLater

from tcplab.policies.deadlines import Deadlines
from tcplab.protocols.conversation import Conversation
from tcplab.protocols.echo import Echo
from tcplab.protocols.factory import ConversationFactory
from tcplab.reactor.stack import bottomTransport, bufferedBytes, unacknowledgedBytes
from tests.support.certificates import localhostFile
from tests.support.socket_server import Serving, Told

HUGE = 2**24  # bytes: more than fits in any buffer


class Plain(Protocol):
    """Twisted's own kind of protocol, which knows nothing of policies; it says what it is told."""

    said = b""

    def connectionMade(self) -> None:
        self.factory.queue.put(self)  # type: ignore[union-attr]
        if self.said:
            self.transport.write(self.said)  # type: ignore[union-attr]


class SaysMuch(Plain):
    said = bytes(HUGE)


class FitsInTheKernel(Plain):
    said = bytes(100_000)


class Leaves(SaysMuch):
    """Hang up with much to say."""

    def connectionMade(self) -> None:
        super().connectionMade()
        self.transport.loseConnection()  # type: ignore[union-attr]


class Hall(Factory):
    """Build plain protocols, and hand each to the test."""

    noisy = False

    def __init__(self, kind: type[Protocol]) -> None:
        self.queue: DeferredQueue[Any] = DeferredQueue()
        self.protocol = kind


class Watched(Serving):
    """Serve with deadlines."""

    async def watched(
        self, factory: Any, endpoint: str = "tcp:0:interface=127.0.0.1", **limits: float | None
    ) -> Told:
        self.clock = Clock()
        told = await self.serve(factory, endpoint)
        deadlines = Deadlines(**limits, clock=self.clock)  # type: ignore[arg-type]
        deadlines.watch(self.listener)
        self.addCleanup(deadlines.stop)
        return told

    async def hall(self, kind: type[Protocol], *args: str, **limits: float | None) -> Told:
        hall = Hall(kind)
        self.queue = hall.queue
        return await self.watched(hall, *args, **limits)

    def client(self) -> socket.socket:
        """Connect a peer that holds little, and reads when it is told to."""
        sock = socket.socket()
        self.addCleanup(sock.close)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(10)
        sock.connect(("127.0.0.1", self.host.port))
        return sock

    async def until(self, condition: Callable[[], object]) -> None:
        while not condition():
            await deferLater(reactor, 0)  # type: ignore[arg-type]

    async def full(self, transport: Any) -> None:
        """Wait until our kernel takes no more."""
        await self.until(lambda: not select.select([], [transport.socket], [], 0)[1])
        await self.atRest(transport)

    async def atRest(self, transport: Any) -> None:
        """Wait until the peer's kernel has acknowledged all that it will: it takes its time."""
        left = -1
        while left != (left := unacknowledgedBytes(transport)):
            await deferLater(reactor, 0.25)  # type: ignore[arg-type]

    async def wait(self, seconds: float) -> None:
        """Let time pass for the policy, and real things happen meanwhile."""
        for _ in range(round(seconds / 0.25)):
            self.clock.advance(0.25)
            await deferLater(reactor, 0)  # type: ignore[arg-type]


class WriteTests(Watched):
    """Peers that do not read."""

    async def test_plain(self) -> None:
        """Any protocol is relieved of a peer that does not read."""
        told = await self.hall(SaysMuch)
        self.client()
        transport = bottomTransport((await self.queue.get()).transport)
        await self.full(transport)
        await self.wait(29)
        self.assertEqual(told.endings, [])
        await self.wait(3)
        ending = await told.ending()
        self.assertEqual((ending.by, ending.how, ending.why), ("server", "reset", "write-timeout"))

    async def test_allInTheKernel(self) -> None:
        """Also when this process has nothing left to say."""
        told = await self.hall(FitsInTheKernel)
        self.client()
        transport = bottomTransport((await self.queue.get()).transport)
        await self.until(lambda: transport.sent == len(FitsInTheKernel.said))
        self.assertEqual(bufferedBytes(transport), 0)
        self.assertGreater(unacknowledgedBytes(transport), 0)
        await self.atRest(transport)
        await self.wait(32)
        self.assertEqual((await told.ending()).why, "write-timeout")

    async def test_allTaken(self) -> None:
        """What the peer's kernel has taken is its own affair, though nobody reads it."""
        told = await self.hall(Plain)
        self.client()
        protocol = await self.queue.get()
        protocol.transport.write(b"hello")
        transport = bottomTransport(protocol.transport)
        await self.until(lambda: transport.sent == 5 and not unacknowledgedBytes(transport))
        await self.wait(60)
        self.assertEqual(told.endings, [])

    async def test_slowReader(self) -> None:
        """A peer that reads now and then keeps its connection."""
        told = await self.hall(SaysMuch)
        client = self.client()
        transport = bottomTransport((await self.queue.get()).transport)
        await self.full(transport)
        for _ in range(4):
            await self.wait(25)
            before = unacknowledgedBytes(transport)
            while unacknowledgedBytes(transport) > before - 4096:  # its window opens in steps
                await self.talk(client.recv, 4096)
        self.assertEqual(told.endings, [])

    async def test_afterOurEnd(self) -> None:
        """What is left to say when a plain protocol has hung up counts too."""
        told = await self.hall(Leaves)
        self.client()
        await self.full(bottomTransport((await self.queue.get()).transport))
        await self.wait(32)
        self.assertEqual((await told.ending()).why, "write-timeout")

    async def test_conversation(self) -> None:
        """Nor does a conversation wait for ever until its last words have left."""

        class Farewell(Conversation):
            lingerTimeout = 60  # as long as this test may take, and longer

            def messageReceived(self, message: bytes) -> None:
                self.write(bytes(1_000_000))
                self.hangUp()

        told = await self.watched(ConversationFactory(Farewell))
        self.client().sendall(b"the end?")
        await self.until(lambda: self.listener.connections)
        (transport,) = self.listener.connections
        await self.until(lambda: transport.sent)
        await self.atRest(transport)
        await self.wait(32)
        self.assertEqual((await told.ending()).why, "write-timeout")

    async def test_echo(self) -> None:
        """Who sends and never reads is held back, and goes at last."""
        told = await self.watched(ConversationFactory(Echo))
        client = self.client()
        client.setblocking(False)
        (transport,) = await self._one()
        await self.until(lambda: self._stuffed(client) and bufferedBytes(transport))
        await self.wait(32)
        ending = await told.ending()
        self.assertEqual((ending.by, ending.why), ("server", "write-timeout"))

    async def _one(self) -> set[Any]:
        await self.until(lambda: self.listener.connections)
        return self.listener.connections

    def _stuffed(self, client: socket.socket) -> bool:
        try:
            client.send(bytes(65536))
        except BlockingIOError:
            return True
        return False

    async def test_unix(self) -> None:
        """On a Unix socket only what this process holds waits; its peer goes by that."""
        path = self.unixPath()
        told = await self.hall(SaysMuch, f"unix:{path}")
        client = socket.socket(socket.AF_UNIX)
        self.addCleanup(client.close)
        client.connect(path)
        await self.full(bottomTransport((await self.queue.get()).transport))
        await self.wait(32)
        self.assertEqual((await told.ending()).why, "write-timeout")

    async def test_unixQuiet(self) -> None:
        """A peer there that has not read what was sent is not stuck by that."""
        path = self.unixPath()
        told = await self.hall(FitsInTheKernel, f"unix:{path}")
        client = socket.socket(socket.AF_UNIX)
        self.addCleanup(client.close)
        client.connect(path)
        transport = bottomTransport((await self.queue.get()).transport)
        await self.until(lambda: transport.sent == len(FitsInTheKernel.said))
        await self.wait(60)
        self.assertEqual(told.endings, [])


class TLSTests(Watched):
    """Peers that stop in the middle of TLS."""

    async def overTLS(self, kind: type[Protocol]) -> Told:
        pem = localhostFile(self.folder())
        return await self.hall(kind, f"ssl:0:privateKey={pem}:certKey={pem}:interface=127.0.0.1")

    async def shaken(self, sock: socket.socket) -> SSL.Connection:
        sock.settimeout(None)  # OpenSSL takes a socket with a time limit for a non-blocking one
        client = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), sock)
        client.set_connect_state()
        await self.talk(client.do_handshake)
        return client

    async def test_noHandshake(self) -> None:
        """Who never begins is ended, and nobody was told of it."""
        told = await self.overTLS(Plain)
        self.client()
        await self.until(lambda: self.listener.connections)
        await self.wait(4.75)
        self.assertEqual(told.endings, [])
        await self.wait(1)
        ending = await told.ending()
        self.assertEqual((ending.how, ending.why), ("reset", "handshake-timeout"))
        self.assertEqual(told.opened, [])

    async def test_trickledHandshake(self) -> None:
        """Who sends a byte of it now and then has no more time."""
        told = await self.overTLS(Plain)
        client = self.client()
        await self.until(lambda: self.listener.connections)
        (transport,) = self.listener.connections
        hello = b"\x16\x03\x01\x02\x00"  # a record of 512 bytes, and little of it
        for number in range(10):
            client.send(hello[number : number + 1] or b"\x01")
            await self.until(lambda: transport.received > number)  # noqa: B023
            await self.wait(0.5)
        await self.wait(0.5)
        self.assertEqual((await told.ending()).why, "handshake-timeout")

    async def test_handshakeDone(self) -> None:
        """Who is through in time stays."""
        told = await self.overTLS(Plain)
        await self.shaken(self.client())
        transport = bottomTransport((await self.queue.get()).transport)
        await self.until(lambda: transport.established and not unacknowledgedBytes(transport))
        await self.wait(60)
        self.assertEqual(told.endings, [])

    async def test_silentOnCloseNotify(self) -> None:
        """Who does not answer the end of TLS is not waited for for ever."""
        told = await self.overTLS(Plain)
        await self.shaken(self.client())
        protocol = await self.queue.get()
        transport = bottomTransport(protocol.transport)
        await self.until(lambda: transport.established)
        protocol.transport.loseConnection()
        await self.until(lambda: not unacknowledgedBytes(transport))
        await self.wait(29)
        self.assertEqual(told.endings, [])
        await self.wait(3)
        self.assertEqual((await told.ending()).why, "write-timeout")

    async def test_doesNotRead(self) -> None:
        """What counts is what the kernel takes of the ciphertext."""
        told = await self.overTLS(SaysMuch)
        await self.shaken(self.client())
        await self.full(bottomTransport((await self.queue.get()).transport))
        await self.wait(32)
        self.assertEqual((await told.ending()).why, "write-timeout")


class IdleTests(Watched):
    """Peers that say nothing."""

    async def test_idle(self) -> None:
        """The one that is idle is ended, the other is not."""
        told = await self.watched(ConversationFactory(Echo), idle=10, write=None)
        client, silent = self.client(), self.client()
        for number in range(1, 7):
            await self.talk(client.sendall, b"tick")
            await self.until(
                lambda: 4 * number in [each.received for each in self.listener.connections]  # noqa: B023
            )
            await self.wait(3)
        ending = await told.ending()
        self.assertEqual((ending.why, ending.received), ("idle-timeout", 0))
        self.assertEqual(len(told.endings), 1)
        self.assertEqual(await self.talk(client.recv, 4), b"tick")
        silent.close()


class ReactorTests(Watched):
    """Without a clock it is the reactor's time."""

    async def test_globalReactor(self) -> None:
        """It really passes."""
        told = await self.serve(hall := Hall(SaysMuch))
        deadlines = Deadlines(write=0.1)
        deadlines.watch(self.listener)
        self.addCleanup(deadlines.stop)
        self.client()
        await hall.queue.get()
        self.assertEqual((await told.ending()).why, "write-timeout")
