"""Tests for `tcplab.listener.servertransport`."""

from __future__ import annotations

import errno
import fcntl
import select
import socket
import struct
import termios
from typing import Any, ClassVar

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.error import ConnectionLost
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.protocols.wire import Echo as StockEcho
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tcplab.listener.servertransport import ProxiedPeer
from tcplab.protocols.conversation import Conversation
from tcplab.protocols.echo import Echo
from tcplab.protocols.factory import ConversationFactory
from tcplab.protocols.greeting import Ack
from tcplab.testing.memorytransport import MemoryReactor, MemorySocket, MemoryTransport
from tcplab.wire.proxyheader import ProxyHeader
from tests.support.scripted_transport import UnixTransport
from tests.support.socket_server import Serving, readAll

ADA = IPv4Address("TCP", "203.0.113.9", 4711)


class ProxiedPeerTests(SynchronousTestCase):
    """The peer that a proxy speaks for."""

    def test_names(self) -> None:
        for peer, address, name in (
            (ADA, ("203.0.113.9", 4711), "203.0.113.9"),
            (IPv6Address("TCP", "2001:db8::1", 5), ("2001:db8::1", 5), "2001:db8::1"),
            (UNIXAddress(b"/run/\x1b,1,"), b"", "/run/\\x1b,1,"),
            (UNIXAddress(None), b"", "unix"),
        ):
            proxied = ProxiedPeer(peer, ProxyHeader(1))
            self.assertEqual((proxied.address, proxied.name), (address, name))

    def test_transport(self) -> None:
        """Only ``proxy`` is the neighbour; without a proxy there is none."""
        proxied = ProxiedPeer(ADA, ProxyHeader(1))
        for kind, proxy in (
            (MemoryTransport, IPv4Address("TCP", "127.0.0.1", 1)),
            (UnixTransport, UNIXAddress(None)),
        ):
            made: list[Any] = [
                kind(
                    MemorySocket(),
                    Ack(),
                    ("127.0.0.1", 1),
                    None,
                    7,
                    MemoryReactor(lambda: None),
                    peer=peer,
                )
                for peer in (proxied, None)
            ]
            there, alone = made
            self.assertEqual((there.getPeer(), there.announced), (ADA, proxied.header))
            self.assertEqual((there.proxy, there.logstr), (proxy, "Ack,7,203.0.113.9"))
            self.assertEqual((alone.getPeer(), alone.proxy, alone.announced), (proxy, None, None))


class Stock(Factory):
    noisy = False
    protocol = StockEcho


class Flood(Protocol):
    """Say more than any kernel holds, and go on reading."""

    def connectionMade(self) -> None:
        self.transport.write(b"x" * 50_000_000)


class Floods(Factory):
    noisy = False
    protocol = Flood


class Broken(Protocol):
    def dataReceived(self, data: bytes) -> None:
        raise RuntimeError("a bug of the subclass")


class Breaks(Factory):
    noisy = False
    protocol = Broken


class Closer(Protocol):
    """A plain protocol with the plain habit."""

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(b"bye")
        self.transport.loseConnection()


class Closes(Factory):
    noisy = False
    protocol = Closer


class Aborter(Conversation):
    def messageReceived(self, message: bytes) -> None:
        self.abort("fault")


class Late(Conversation):
    """Answers when the peer has reset, and keeps what it is told of the end."""

    heard: ClassVar[list[object]] = []

    def messageReceived(self, message: bytes) -> None:
        poll = select.poll()
        poll.register(self.transport.socket, 0)
        poll.poll(10_000)  # for POLLERR
        self.write(b"too late")

    def readConnectionLost(self) -> None:
        self.heard.append("finished")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.heard.append(type(reason.value))


def unsent(sock: socket.socket) -> int:
    """Count what the other side's kernel has not acknowledged."""
    queued = fcntl.ioctl(sock, termios.TIOCOUTQ, b"\0\0\0\0")
    return int(struct.unpack("i", queued)[0])


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class EndingTests(Serving):
    """By whom, how and why a connection ended, and what passed, is told as it was."""

    async def test_peerFinishes(self) -> None:
        """A client that finishes and reads to the end is the one who ended it."""
        told = await self.serve(ConversationFactory(Echo))

        def client() -> bytes:
            with self.connect() as sock:
                sock.sendall(b"hello")
                sock.shutdown(socket.SHUT_WR)
                return readAll(sock)

        self.assertEqual(await self.talk(client), b"hello")
        ending = await told.ending()
        self.assertEqual((ending.by, ending.how, ending.why), ("peer", "fin", None))
        self.assertEqual((ending.received, ending.sent, ending.errno), (5, 5, None))

    async def test_peerFinishedFirstBehindItsData(self) -> None:
        """A FIN that waited behind the message we hung up on was there first."""
        told = await self.serve(ConversationFactory(Ack))

        def client() -> None:
            with self.connect() as sock:
                self.assertEqual(sock.recv(100), b"You are connected!")
                sock.send(b"hi")

        await self.talk(client)
        ending = await told.ending()
        self.assertEqual((ending.how, ending.why), ("fin", None))
        self.assertEqual((ending.received, ending.sent), (2, 18))
        self.assertEqual(told.messages, [b"hi"])

    async def test_serverFinishes(self) -> None:
        """A server that hangs up on a client that waits has ended it."""
        told = await self.serve(ConversationFactory(Ack))

        def client() -> bytes:
            with self.connect() as sock:
                sock.send(b"hi")
                return readAll(sock)

        self.assertEqual(await self.talk(client), b"You are connected!")
        ending = await told.ending()
        self.assertEqual((ending.by, ending.how, ending.why), ("server", "fin", None))

    async def test_peerResets(self) -> None:
        """A reset is told with its error number."""
        told = await self.serve(ConversationFactory(Echo))

        def client() -> None:
            sock = self.connect()
            sock.sendall(b"x")
            self.assertEqual(sock.recv(1), b"x")
            reset(sock)

        await self.talk(client)
        ending = await told.ending()
        self.assertEqual((ending.by, ending.how), ("peer", "reset"))
        self.assertEqual(ending.errno, errno.ECONNRESET)

    async def test_aSendMeetsTheReset(self) -> None:
        """It is told once by the kernel: the read that comes behind it must not look like a FIN."""
        told = await self.serve(ConversationFactory(Late))
        self.patch(Late, "heard", [])

        def client() -> None:
            sock = self.connect()
            sock.sendall(b"x")
            reset(sock)

        await self.talk(client)
        ending = await told.ending()
        self.assertEqual((ending.by, ending.how), ("peer", "reset"))
        self.assertEqual(ending.errno, errno.ECONNRESET)
        self.assertEqual(Late.heard, [ConnectionLost])

    async def goesBehindAFIN(self, size: int) -> None:
        """Say so much and finish; go when all is acknowledged, with the greeting unread."""
        told = await self.serve(ConversationFactory(Late, greeting=b"unread"))
        self.patch(Late, "heard", [])

        def client() -> None:
            with self.connect() as sock:
                sock.recv(1, socket.MSG_PEEK)
                sock.sendall(bytes(size))
                sock.shutdown(socket.SHUT_WR)
                while unsent(sock):
                    pass

        await self.talk(client)
        ending = await told.ending()
        self.assertEqual((ending.by, ending.how, ending.received), ("peer", "reset", size))
        self.assertEqual(Late.heard, ["finished", ConnectionLost])

    async def test_aSendMeetsTheResetBehindAFIN(self) -> None:
        """A FIN that came first is told first: the peer had said all that it wanted to."""
        await self.goesBehindAFIN(1)

    async def test_whatHasComeIsReadBehindAFailedSend(self) -> None:
        """What the peer had acknowledged to it is ours, whatever becomes of our answers."""
        await self.goesBehindAFIN(100_000)

    async def test_peerClosesWithoutReading(self) -> None:
        """A client that goes away with our words unread resets the connection."""
        told = await self.serve(Floods())

        def client() -> None:
            with self.connect() as sock:
                sock.recv(1)

        await self.talk(client)
        ending = await told.ending()
        self.assertEqual((ending.by, ending.how), ("peer", "reset"))
        self.assertIn(ending.errno, (errno.ECONNRESET, errno.EPIPE))

    async def test_serverAborts(self) -> None:
        """Our own abort is a reset by us, with its cause."""
        told = await self.serve(ConversationFactory(Aborter))

        def client() -> None:
            with self.connect() as sock:
                sock.send(b"hi")
                self.assertRaises(ConnectionResetError, readAll, sock)

        await self.talk(client)
        ending = await told.ending()
        self.assertEqual((ending.by, ending.how, ending.why), ("server", "reset", "fault"))

    async def test_plainProtocolCloses(self) -> None:
        """A plain protocol's end is told too, with its bytes."""
        told = await self.serve(Closes())

        def client() -> bytes:
            with self.connect() as sock:
                sock.send(b"hi")
                return readAll(sock)

        self.assertEqual(await self.talk(client), b"bye")
        ending = await told.ending()
        self.assertEqual((ending.by, ending.how, ending.why), ("server", "fin", None))
        self.assertEqual((ending.received, ending.sent), (2, 3))

    async def test_exceptionInPlainProtocol(self) -> None:
        """An exception that Twisted ends a connection for is the cause."""
        told = await self.serve(Breaks())

        def client() -> bytes:
            with self.connect() as sock:
                sock.send(b"hi")
                return readAll(sock)

        self.assertEqual(await self.talk(client), b"")
        ending = await told.ending()
        self.assertEqual((ending.by, ending.how, ending.why), ("server", "fin", "error"))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    async def test_closingOnUnreadInputIsAReset(self) -> None:
        """What the kernel does on close() with unread input is called by its name."""
        told = await self.serve(Closes())
        big = b"x" * 4_000_000

        def client() -> None:
            with self.connect() as sock:
                try:
                    sock.sendall(big)
                    while sock.recv(65536):
                        pass
                except OSError:
                    pass

        await self.talk(client)
        ending = await told.ending()
        self.assertEqual((ending.by, ending.how), ("server", "reset"))
        self.assertLess(ending.received, len(big))


class ToldTests(Serving):
    """Any protocol's connection is told, on any kind of stream socket."""

    async def test_stockProtocol(self) -> None:
        """Opening is told before anything is said, the first connection is number 1."""
        told = await self.serve(Stock())
        await self.talk(lambda: self.connect().close())
        await told.ending()
        [opened] = told.opened
        self.assertEqual((opened.listener, opened.number), ("test", 1))
        self.assertEqual(opened.prefix, "Echo,1,127.0.0.1")
        self.assertEqual(opened.peer.host, "127.0.0.1")
        self.assertEqual(opened.host.port, self.host.port)
        self.assertEqual(self.listener.connections, set())

    async def test_mappedPeerIsIPv4(self) -> None:
        """An IPv4 client of an IPv6 socket is an IPv4 client."""
        told = await self.serve(ConversationFactory(Echo), r"tcp6:0:interface=\:\:")
        await self.talk(lambda: self.connect().close())
        await told.ending()
        [opened] = told.opened
        self.assertEqual((opened.peer.host, opened.host.host), ("127.0.0.1", "127.0.0.1"))
        self.assertEqual(opened.prefix, "Echo,1,127.0.0.1")

    async def test_unixSocket(self) -> None:
        """A Unix socket's peer has no name; all else is told as ever."""
        path = self.unixPath()
        told = await self.serve(ConversationFactory(Ack), f"unix:{path}")

        def client() -> bytes:
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(path)
                sock.sendall(b"hi")
                return readAll(sock)

        self.assertEqual(await self.talk(client), b"You are connected!")
        ending = await told.ending()
        self.assertEqual(
            (ending.by, ending.how, ending.received, ending.sent), ("server", "fin", 2, 18)
        )
        self.assertEqual(told.opened[0].prefix, "Ack,1,unix")

    async def test_unixPeerFinishes(self) -> None:
        """Who ended first is known on Unix sockets too."""
        path = self.unixPath()
        told = await self.serve(ConversationFactory(Echo), f"unix:{path}")

        def client() -> bytes:
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(path)
                sock.sendall(b"hi")
                sock.shutdown(socket.SHUT_WR)
                return readAll(sock)

        self.assertEqual(await self.talk(client), b"hi")
        ending = await told.ending()
        self.assertEqual((ending.by, ending.how), ("peer", "fin"))
