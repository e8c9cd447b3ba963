"""Tests for `tcplab.testing.memorytransport`: memory behaves as a real connection does."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Callable
from typing import Any

from twisted.internet.protocol import Factory, Protocol
from twisted.protocols.wire import Echo as StockEcho
from twisted.trial.unittest import SynchronousTestCase

from tcplab.listener.events import Ending
from tcplab.listener.servertransport import Server
from tcplab.protocols import (
    Ack,
    Conversation,
    ConversationFactory,
    Echo,
    Greeting,
    LabConversation,
)
from tcplab.testing import connected
from tcplab.testing.memorytransport import MemoryReactor, MemorySocket, MemoryTransport
from tcplab.wire.framing import Lines
from tests.support.socket_server import Serving


class Closer(Protocol):
    """Close after the first read."""

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(b"bye")  # type: ignore[union-attr]
        self.transport.loseConnection()  # type: ignore[union-attr]


class CloserUnread(Protocol):
    """Close with input that was never read."""

    def connectionMade(self) -> None:
        self.transport.pauseProducing()  # type: ignore[union-attr]
        self.check()

    def check(self) -> None:
        transport: Any = self.transport
        if transport._unreadBytes():
            transport.loseConnection()
        else:
            transport.reactor.callLater(0.01, self.check)


class Broken(Protocol):
    def dataReceived(self, data: bytes) -> None:
        raise RuntimeError("a bug of the subclass")


class BrokenConversation(Conversation):
    def messageReceived(self, message: bytes) -> None:
        raise RuntimeError("a bug of the subclass")


class Aborter(Conversation):
    def messageReceived(self, message: bytes) -> None:
        self.abort("fault")


class SocketTests(SynchronousTestCase):
    """The two buffers are as a kernel's."""

    def setUp(self) -> None:
        self.socket = MemorySocket()

    def test_recv(self) -> None:
        """Bytes in order, as many as asked for, then FIN; to wait would block."""
        self.assertFalse(self.socket.readable)
        self.assertRaises(BlockingIOError, self.socket.recv, 10)
        self.socket.deliver(b"one")
        self.socket.deliver(b"two")
        self.assertTrue(self.socket.readable)
        self.assertEqual([self.socket.recv(4), self.socket.recv(4)], [b"onet", b"wo"])
        self.socket.peerFinished = True
        self.assertEqual([self.socket.recv(4), self.socket.recv(4)], [b"", b""])
        self.assertTrue(self.socket.readable)

    def test_send(self) -> None:
        """What fits is taken; more would block."""
        self.socket.window = 5
        self.assertEqual(self.socket.send(b"one"), 3)
        self.assertEqual(self.socket.sendmsg([b"t", b"wo"]), 2)
        self.assertFalse(self.socket.writable)
        self.assertRaises(BlockingIOError, self.socket.send, b"x")
        self.assertEqual(self.socket.sendBuffer, b"onetw")

    def test_reset(self) -> None:
        """Both directions are ready, and fail."""
        self.socket.deliver(b"not read yet")
        self.socket.window = 0
        self.socket.error = errno.ECONNRESET
        self.assertTrue(self.socket.readable and self.socket.writable)
        read = self.assertRaises(OSError, self.socket.recv, 10)
        sent = self.assertRaises(OSError, self.socket.send, b"x")
        self.assertEqual((read.errno, sent.errno), (errno.ECONNRESET, errno.EPIPE))


class ReactorTests(SynchronousTestCase):
    def test_advance(self) -> None:
        """Timers run first, then what follows from them."""
        events: list[str] = []
        reactor = MemoryReactor(lambda: events.append("settled"))
        reactor.callLater(2, events.append, "timer")
        reactor.advance(1)
        reactor.advance(1)
        self.assertEqual(events, ["settled", "timer", "settled"])


class TransportTests(SynchronousTestCase):
    def test_itIsTheRealOne(self) -> None:
        """Only what it asks of the kernel is replaced."""
        self.assertTrue(issubclass(MemoryTransport, Server))
        for name in ("write", "doRead", "doWrite", "loseConnection", "connectionLost"):
            self.assertNotIn(name, vars(MemoryTransport))


Script = Callable[[socket.socket], bytes]


def sendsAndFinishes(sock: socket.socket) -> bytes:
    sock.sendall(b"hi\n")
    sock.shutdown(socket.SHUT_WR)
    return readAll(sock)


def sendsAndReads(sock: socket.socket) -> bytes:
    sock.sendall(b"hi\n")
    return readAll(sock)


def readsAndResets(sock: socket.socket) -> bytes:
    sock.sendall(b"hi\n")
    answer = sock.recv(3, socket.MSG_WAITALL)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return answer


def readAll(sock: socket.socket) -> bytes:
    """Read to the end, an orderly one or not."""
    answer = b""
    try:
        while data := sock.recv(65536):
            answer += data
    except ConnectionResetError:
        answer += b"<reset>"
    return answer


class RealityTests(Serving):
    """In memory both ends see what they see on a real connection."""

    async def real(self, factory: Any, script: Script) -> tuple[bytes, Ending]:
        told = await self.serve(factory)

        def client() -> bytes:
            with self.connect() as sock:
                return script(sock)

        answer = await self.talk(client)
        return answer, await told.ending()

    def inMemory(self, factory: Any, script: Script) -> tuple[bytes, Ending]:
        peer = connected(factory)
        if script is sendsAndFinishes:
            peer.finish(b"hi\n")
        else:
            peer.write(b"hi\n")
            peer.clock.advance(1)
            if script is readsAndResets:
                peer.reset()
            else:
                peer.finish()
        assert peer.ending is not None
        return peer.value() + b"<reset>" * peer.wasReset, peer.ending

    async def test_sameAsReal(self) -> None:
        """What each end sees, by the side that ends the connection, and how."""
        plain, conversation = Factory.forProtocol, ConversationFactory
        for script, factory in (
            (sendsAndFinishes, conversation(Echo)),
            (sendsAndFinishes, conversation(LabConversation)),
            (sendsAndFinishes, conversation(Echo, framing=Lines)),
            (sendsAndFinishes, plain(StockEcho)),
            (sendsAndReads, conversation(Ack)),
            (sendsAndReads, conversation(Greeting)),
            (sendsAndReads, conversation(BrokenConversation)),
            (sendsAndReads, conversation(Aborter)),
            (sendsAndReads, plain(Closer)),
            (sendsAndReads, plain(Broken)),
            (readsAndResets, conversation(Echo)),
            (readsAndResets, plain(StockEcho)),
        ):
            answer, ending = await self.real(factory, script)
            inMemory = self.inMemory(factory, script)
            self.assertEqual((inMemory[0], inMemory[1][:6]), (answer, ending[:6]), factory)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 4)

    async def test_serverClosesOnUnreadInput(self) -> None:
        """A reset in either place, though a real peer may see the FIN that Twisted sends before."""
        factory = Factory.forProtocol(CloserUnread)
        _, ending = await self.real(factory, sendsAndReads)
        self.assertEqual(self.inMemory(factory, sendsAndReads)[1][:6], ending[:6])
        self.assertEqual(ending.how, "reset")
