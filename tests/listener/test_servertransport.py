"""Tests for `tcplab.listener.servertransport`."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import select
import socket
import struct
import termios
from typing import Any, ClassVar

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.error import ConnectionLost
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tcplab.listener.events import Ending
from tcplab.listener.servertransport import ProxiedPeer
from tcplab.protocols.conversation import Conversation
from tcplab.protocols.echo import Echo
from tcplab.protocols.factory import ConversationFactory
from tcplab.protocols.greeting import Ack
from tcplab.testing import connected
from tcplab.testing.memorytransport import MemoryReactor, MemorySocket, MemoryTransport
from tcplab.wire.proxyheader import ProxyHeader
from tcplab.wire.reasons import Reason
from tests.support.meeting import Meeting
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
            reactor, client = MemoryReactor(lambda: None), ("127.0.0.1", 1)
            there, alone = (
                kind(MemorySocket(), Ack(), client, None, 7, reactor, peer=peer)  # type: ignore
                for peer in (proxied, None)
            )
            self.assertEqual((there.getPeer(), there.announced), (ADA, proxied.header))
            self.assertEqual((there.proxy, there.peerName), (proxy, "203.0.113.9"))
            self.assertEqual((alone.getPeer(), alone.proxy, alone.announced), (proxy, None, None))


class Flood(Protocol):
    """Send more than any kernel holds, and go on reading."""

    def connectionMade(self) -> None:
        self.transport.write(b"x" * 50_000_000)


class Broken(Protocol):
    def dataReceived(self, data: bytes) -> None:
        raise RuntimeError("a bug of the subclass")


class Closer(Protocol):
    """A plain protocol with the plain habit."""

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(b"bye")
        self.transport.loseConnection()


class Aborter(Conversation):
    def messageReceived(self, message: bytes) -> None:
        self.abort(Reason.FAULT)


class Late(Conversation):
    """Answer after the peer has reset, and keep what is reported of the end."""

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
    """Count the bytes that the other side's kernel has not acknowledged."""
    queued = fcntl.ioctl(sock, termios.TIOCOUTQ, b"\0\0\0\0")
    return int(struct.unpack("i", queued)[0])


# Clients: each returns what it read.


def finishes(sock: socket.socket) -> bytes:
    sock.sendall(b"hello")
    sock.shutdown(socket.SHUT_WR)
    return readAll(sock)


def waits(sock: socket.socket) -> bytes:
    sock.sendall(b"hi")
    try:
        return readAll(sock)
    except ConnectionResetError:
        return b"reset"


def sendsAndLeaves(sock: socket.socket) -> bytes:
    heard = sock.recv(100)
    sock.sendall(b"hi")
    return heard


def resets(sock: socket.socket) -> bytes:
    sock.sendall(b"x")
    heard = sock.recv(1)
    reset(sock)
    return heard


def leavesUnread(sock: socket.socket) -> bytes:
    return sock.recv(1)


def floods(sock: socket.socket) -> bytes:
    with contextlib.suppress(OSError):
        sock.sendall(b"x" * 4_000_000)
        while sock.recv(65536):
            pass
    return b""


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class EndingTests(Serving):
    """The side that ended a connection, how and why, and its bytes, are reported as they were."""

    async def ended(self, kind: Any, client: Any, endpoint: str = "") -> tuple[bytes, Ending]:
        """Serve one client, and return what it read, and how that ended."""
        factory = ConversationFactory(kind) if issubclass(kind, Conversation) else Meeting(kind)
        told = await self.serve(factory, endpoint or "tcp:0:interface=127.0.0.1")

        def run() -> bytes:
            with socket.socket(socket.AF_UNIX) if endpoint else self.connect() as sock:
                if endpoint:
                    sock.connect(self.host.name)
                heard: bytes = client(sock)
                return heard

        self.told = told
        return await self.talk(run), await told.ending()

    async def test_endings(self) -> None:
        """On TCP and Unix sockets, for conversations and plain protocols."""
        unix, other = f"unix:{self.unixPath()}", f"unix:{self.unixPath()}"
        for kind, client, endpoint, heard, ending in (
            (Echo, finishes, "", b"hello", ("peer", "fin", None, None, 5, 5)),
            (Echo, finishes, unix, b"hello", ("peer", "fin", None, None, 5, 5)),
            (Ack, waits, "", b"You are connected!", ("server", "fin", None, None, 2, 18)),
            (Ack, waits, other, b"You are connected!", ("server", "fin", None, None, 2, 18)),
            (Echo, resets, "", b"x", ("peer", "reset", None, errno.ECONNRESET, 1, 1)),
            (Aborter, waits, "", b"reset", ("server", "reset", "fault", None, 2, 0)),
            (Closer, waits, "", b"bye", ("server", "fin", None, None, 2, 3)),
            (Broken, waits, "", b"", ("server", "fin", "error", None, 2, 0)),
        ):
            got, reported = await self.ended(kind, client, endpoint)
            self.assertEqual((got, reported[:6]), (heard, ending), kind)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    async def test_peerFinishedFirstBehindItsData(self) -> None:
        """A FIN that waits behind the message that the server hangs up on came first."""
        _, ending = await self.ended(Ack, sendsAndLeaves)
        self.assertEqual(ending[1:6], ("fin", None, None, 2, 18))
        self.assertEqual(self.told.messages, [b"hi"])

    async def test_unread(self) -> None:
        """A close with unread input is a reset, on either side."""
        _, ending = await self.ended(Flood, leavesUnread)
        self.assertEqual((ending.by, ending.how), ("peer", "reset"))
        self.assertIn(ending.errno, (errno.ECONNRESET, errno.EPIPE))
        _, ending = await self.ended(Closer, floods)
        self.assertEqual((ending.by, ending.how), ("server", "reset"))
        self.assertLess(ending.received, 4_000_000)

    async def test_sendMeetsTheReset(self) -> None:
        """The kernel reports a reset once: the read behind the send must not look like a FIN."""
        self.patch(Late, "heard", [])

        def client(sock: socket.socket) -> bytes:
            sock.sendall(b"x")
            reset(sock)
            return b""

        _, ending = await self.ended(Late, client)
        self.assertEqual((ending[:2], ending.errno), (("peer", "reset"), errno.ECONNRESET))
        self.assertEqual(Late.heard, [ConnectionLost])

    def test_closeMeetsTheReset(self) -> None:
        """A reset that no read and no send has met is found when the server closes."""
        peer = connected(Echo)
        peer.write(b"x")
        peer.transport.socket.error = errno.ECONNRESET
        peer.transport.loseConnection()
        self.assertFalse(peer.connected)
        ending: Any = peer.ending
        self.assertEqual(ending[:4], ("peer", "reset", None, errno.ECONNRESET))

    async def test_sendMeetsTheResetBehindAFIN(self) -> None:
        """A FIN that came first is reported first, and all that was acknowledged is read."""
        self.patch(Late, "greeting", b"unread")
        for size in (1, 100_000):
            self.patch(Late, "heard", [])

            def client(sock: socket.socket, size: int = size) -> bytes:
                sock.recv(1, socket.MSG_PEEK)
                sock.sendall(bytes(size))
                sock.shutdown(socket.SHUT_WR)
                while unsent(sock):
                    pass
                return b""

            _, ending = await self.ended(Late, client)
            self.assertEqual((ending.by, ending.how, ending.received), ("peer", "reset", size))
            self.assertEqual(Late.heard, ["finished", ConnectionLost])
