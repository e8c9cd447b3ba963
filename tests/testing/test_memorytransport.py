"""Tests for `tcplab.testing.memorytransport`: in memory all is as on a real connection."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Callable
from typing import Any

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.protocol import Factory, Protocol
from twisted.protocols.wire import Echo as StockEcho
from twisted.trial.unittest import SynchronousTestCase

from tcplab.listener.events import Ending
from tcplab.listener.servertransport import Server
from tcplab.protocols.conversation import Conversation
from tcplab.protocols.echo import Echo, LabConversation
from tcplab.protocols.factory import ConversationFactory
from tcplab.protocols.greeting import Ack, Greeting
from tcplab.testing import connected
from tcplab.testing.memorytransport import MemoryReactor, MemorySocket, MemoryTransport
from tcplab.wire.framing import Lines
from tests.support.socket_server import Serving


class Closer(Protocol):
    """Close at the first word."""

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(b"bye")  # type: ignore[union-attr]
        self.transport.loseConnection()  # type: ignore[union-attr]


class CloserUnread(Protocol):
    """Close with input that was never read."""

    def connectionMade(self) -> None:
        self.transport.pauseProducing()  # type: ignore[union-attr]
        self.look()

    def look(self) -> None:
        transport: Any = self.transport
        if transport._unreadBytes():
            transport.loseConnection()
        else:
            transport.reactor.callLater(0.01, self.look)


class Broken(Protocol):
    """Have a bug."""

    def dataReceived(self, data: bytes) -> None:
        raise RuntimeError("a bug of the subclass")


class BrokenConversation(Conversation):
    """Have a bug."""

    def messageReceived(self, message: bytes) -> None:
        raise RuntimeError("a bug of the subclass")


class Aborter(Conversation):
    def messageReceived(self, message: bytes) -> None:
        self.abort("fault")


class Selectable:
    """What a reactor calls when its socket is ready."""

    def __init__(self, outcome: Any = None) -> None:
        self.socket = MemorySocket()
        self.outcome = outcome
        self.calls: list[Any] = []

    def doRead(self) -> Any:
        self.calls.append("read")
        self.socket.receiveBuffer.clear()
        return self.happen()

    def doWrite(self) -> Any:
        self.calls.append("write")
        return self.happen()

    def happen(self) -> Any:
        if isinstance(self.outcome, RuntimeError):
            raise self.outcome
        return self.outcome

    def readConnectionLost(self, reason: Any) -> None:
        self.calls.append(("readConnectionLost", reason.type))

    def connectionLost(self, reason: Any) -> None:
        self.calls.append(("connectionLost", reason.type))


class SocketTests(SynchronousTestCase):
    """The two buffers behave as a kernel's."""

    def setUp(self) -> None:
        self.socket = MemorySocket()

    def test_nothingToRead(self) -> None:
        """To read what is not there would block."""
        self.assertFalse(self.socket.readable)
        self.assertRaises(BlockingIOError, self.socket.recv, 10)

    def test_read(self) -> None:
        """As much as is there, and as was asked for, in order."""
        self.socket.deliver(b"one")
        self.socket.deliver(b"two")
        self.assertTrue(self.socket.readable)
        self.assertEqual(self.socket.recv(4), b"onet")
        self.assertEqual(self.socket.recv(4), b"wo")
        self.assertRaises(BlockingIOError, self.socket.recv, 4)

    def test_readTheEnd(self) -> None:
        """Nothing, behind all that came, as often as one asks."""
        self.socket.deliver(b"one")
        self.socket.peerFinished = True
        self.assertEqual([self.socket.recv(10) for _ in range(3)], [b"one", b"", b""])
        self.assertTrue(self.socket.readable)

    def test_send(self) -> None:
        """What fits is taken; more would block."""
        self.socket.window = 5
        self.assertEqual(self.socket.send(b"one"), 3)
        self.assertTrue(self.socket.writable)
        self.assertEqual(self.socket.send(b"two"), 2)
        self.assertFalse(self.socket.writable)
        self.assertRaises(BlockingIOError, self.socket.send, b"x")
        self.assertEqual(self.socket.sendBuffer, b"onetw")
        del self.socket.sendBuffer[:2]
        self.assertEqual(self.socket.send(b"xyz"), 2)

    def test_sendViews(self) -> None:
        """Any bytes-like object can be sent, as through a socket."""
        self.assertEqual(self.socket.send(memoryview(b"hello")[1:3]), 2)
        self.assertEqual(self.socket.sendBuffer, b"el")

    def test_reset(self) -> None:
        """Both directions fail, and are ready to say so."""
        self.socket.deliver(b"not read yet")
        self.socket.window = 0
        self.socket.error = errno.ECONNRESET
        self.assertTrue(self.socket.readable)
        self.assertTrue(self.socket.writable)
        read = self.assertRaises(OSError, self.socket.recv, 10)
        sent = self.assertRaises(OSError, self.socket.send, b"x")
        self.assertEqual((read.errno, sent.errno), (errno.ECONNRESET, errno.EPIPE))

    def test_finished(self) -> None:
        """Either way of finishing is one."""
        for finish in (lambda each: each.shutdown(socket.SHUT_WR), lambda each: each.close()):
            one = MemorySocket()
            self.assertFalse(one.finished)
            finish(one)
            self.assertTrue(one.finished)

    def test_wordsForAClosedSocket(self) -> None:
        """They are answered by a reset and kept by nobody."""
        self.socket.closed = "fin"
        self.socket.deliver(b"")
        self.assertEqual(self.socket.closed, "fin")
        self.socket.deliver(b"hello?")
        self.assertEqual((self.socket.closed, bytes(self.socket.receiveBuffer)), ("reset", b""))


class ReactorTests(SynchronousTestCase):
    """Reads, writes and time, until nothing more can be done."""

    def setUp(self) -> None:
        self.settled = 0
        self.reactor = MemoryReactor(self.settle)

    def settle(self) -> None:
        self.settled += 1

    def test_nothingToDo(self) -> None:
        """Then nothing is done."""
        self.assertFalse(self.reactor.turn())
        idle = Selectable()
        self.reactor.addReader(idle)
        self.assertFalse(self.reactor.turn())
        self.assertEqual(idle.calls, [])

    def test_reads(self) -> None:
        """Who wants to read does so while there is something to read."""
        one = Selectable()
        one.socket.deliver(b"x")
        self.assertFalse(self.reactor.turn())
        self.reactor.addReader(one)
        self.assertTrue(self.reactor.turn())
        self.assertFalse(self.reactor.turn())
        self.assertEqual(one.calls, ["read"])
        one.socket.deliver(b"x")
        self.reactor.removeReader(one)
        self.assertFalse(self.reactor.turn())

    def test_writes(self) -> None:
        """Who wants to write does so while there is room."""
        one = Selectable()
        self.reactor.addWriter(one)
        self.assertTrue(self.reactor.turn())
        one.socket.window = 0
        self.assertFalse(self.reactor.turn())
        self.assertEqual(one.calls, ["write"])
        one.socket.window = 1
        self.reactor.removeWriter(one)
        self.assertFalse(self.reactor.turn())

    def test_removeAStranger(self) -> None:
        """Who is not there can be removed, as from any reactor."""
        self.reactor.removeReader(Selectable())
        self.reactor.removeWriter(Selectable())

    def test_readEnds(self) -> None:
        """The end of what is read is told as such, and nothing is read any more."""
        one = Selectable(ConnectionDone())
        one.socket.peerFinished = True
        self.reactor.addReader(one)
        self.reactor.turn()
        self.reactor.turn()
        self.assertEqual(one.calls, ["read", ("readConnectionLost", ConnectionDone)])

    def test_lost(self) -> None:
        """Any other end is the end of both directions."""
        one = Selectable(ConnectionLost())
        one.socket.deliver(b"x")
        self.reactor.addReader(one)
        self.reactor.addWriter(one)
        self.reactor.turn()
        self.reactor.turn()
        self.assertEqual(one.calls, ["read", ("connectionLost", ConnectionLost)])

    def test_raises(self) -> None:
        """An exception is logged and ends it."""
        one = Selectable(RuntimeError("a bug"))
        one.socket.deliver(b"x")
        self.reactor.addReader(one)
        self.reactor.turn()
        self.assertEqual(one.calls, ["read", ("connectionLost", RuntimeError)])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_timeSettles(self) -> None:
        """When time has passed, everything due has happened, and then the rest follows."""
        happened: list[int] = []
        self.reactor.callLater(2, lambda: happened.append(self.settled))
        self.reactor.advance(1)
        self.assertEqual((happened, self.settled), ([], 1))
        self.reactor.advance(1)
        self.assertEqual((happened, self.settled), ([1], 2))


class TransportTests(SynchronousTestCase):
    """It is the transport of real connections."""

    def test_kind(self) -> None:
        """Only what it asks the kernel is answered otherwise."""
        transport = connected(Protocol).transport
        self.assertIsInstance(transport, MemoryTransport)
        self.assertIsInstance(transport, Server)
        for name in ("write", "doRead", "doWrite", "loseConnection", "connectionLost"):
            self.assertNotIn(name, vars(MemoryTransport), "not what a real server does")

    def test_writesAreCounted(self) -> None:
        """As bytes that the kernel took."""
        peer = connected(Echo)
        peer.write(b"hello")
        self.assertEqual((peer.transport.received, peer.transport.sent), (5, 5))


Script = Callable[[socket.socket], bytes]


def saysAndFinishes(sock: socket.socket) -> bytes:
    sock.sendall(b"hi\n")
    sock.shutdown(socket.SHUT_WR)
    return heard(sock)


def saysAndListens(sock: socket.socket) -> bytes:
    sock.sendall(b"hi\n")
    return heard(sock)


def listensAndResets(sock: socket.socket) -> bytes:
    sock.sendall(b"hi\n")
    answer = sock.recv(3, socket.MSG_WAITALL)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return answer


def heard(sock: socket.socket) -> bytes:
    """Read to the end, an orderly one or not."""
    answer = b""
    try:
        while data := sock.recv(65536):
            answer += data
    except ConnectionResetError:
        answer += b"<reset>"
    return answer


class RealityTests(Serving):
    """What is seen in memory is what is seen on a real connection, to the last byte and word."""

    async def real(self, factory: Any, script: Script) -> tuple[bytes, Ending]:
        told = await self.serve(factory)

        def client() -> bytes:
            with self.connect() as sock:
                return script(sock)

        answer = await self.talk(client)
        return answer, await told.ending()

    def inMemory(self, factory: Any, script: Script) -> tuple[bytes, Ending]:
        peer = connected(factory)
        if script is saysAndFinishes:
            peer.finish(b"hi\n")
        else:
            peer.write(b"hi\n")
            peer.clock.advance(1)
            if script is listensAndResets:
                peer.reset()
            else:
                peer.finish()
        assert peer.ending is not None
        return peer.value() + b"<reset>" * peer.wasReset, peer.ending

    async def check(self, factory: Any, script: Script) -> None:
        answer, ending = await self.real(factory, script)
        seenAnswer, seenEnding = self.inMemory(factory, script)
        self.assertEqual(seenAnswer, answer)
        self.assertSame(seenEnding, ending)

    def assertSame(self, seen: Ending, ending: Ending) -> None:
        for name in ("by", "how", "why", "errno", "received", "sent"):
            self.assertEqual(getattr(seen, name), getattr(ending, name), name)

    async def test_peerFinishes(self) -> None:
        """A half-close behind the last word, to servers that wait for it."""
        for factory in (
            ConversationFactory(Echo),
            ConversationFactory(LabConversation),
            ConversationFactory(Echo, framing=Lines),
            Factory.forProtocol(StockEcho),
        ):
            await self.check(factory, saysAndFinishes)

    async def test_serverFinishes(self) -> None:
        """The server ends it, politely or by a plain close."""
        for factory in (
            ConversationFactory(Ack),
            ConversationFactory(Greeting),
            Factory.forProtocol(Closer),
        ):
            await self.check(factory, saysAndListens)

    async def test_serverFails(self) -> None:
        """A bug in a hook, in a conversation and in a plain protocol."""
        for factory in (
            Factory.forProtocol(Broken),
            ConversationFactory(BrokenConversation),
        ):
            await self.check(factory, saysAndListens)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 4)

    async def test_serverAborts(self) -> None:
        """The server breaks it off."""
        await self.check(ConversationFactory(Aborter), saysAndListens)

    async def test_serverClosesOnUnreadInput(self) -> None:
        """A reset in either place, though a real peer may see the FIN that Twisted sends before."""
        factory = Factory.forProtocol(CloserUnread)
        _, ending = await self.real(factory, saysAndListens)
        self.assertSame(self.inMemory(factory, saysAndListens)[1], ending)
        self.assertEqual(ending.how, "reset")

    async def test_peerResets(self) -> None:
        """The peer breaks it off."""
        for factory in (ConversationFactory(Echo), Factory.forProtocol(StockEcho)):
            await self.check(factory, listensAndResets)
