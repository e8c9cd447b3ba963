"""Tests for `tcplab.policies.pendingconnections`."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tcplab.policies import pendingconnections
from tcplab.policies.pendingconnections import PendingConnection, announcedBy
from tcplab.protocols import ConversationFactory, Echo
from tcplab.wire.proxyheader import InetAddress, ProxyHeader
from tests.support.proxy_clients import ADA, BLOCK, LINE, Announcing


class Room:
    """An anteroom, and who decides on those in it, that writes down what it is told."""

    versions = frozenset((1, 2))
    deadline: float | None = 5.0

    def __init__(self) -> None:
        self.keeper = self
        self.told: list[Any] = []

    def enter(self, visitor: PendingConnection) -> None:
        self.told.append("waits")

    def leave(self, visitor: PendingConnection) -> None: ...

    def gone(self) -> None:
        self.told.append("gone")

    def refuse(self, visitor: PendingConnection, why: str, problem: str) -> None:
        self.told.append(why)
        visitor.reset()

    def announced(self, visitor: PendingConnection, header: Any) -> None:
        self.told.append(header.family)


class VisitorTests(SynchronousTestCase):
    def come(self, data: bytes = b"") -> PendingConnection:
        """Have somebody come with some bytes."""
        self.reactor = MemoryReactorClock()
        self.room = Room()
        self.peer, client = socket.socketpair()
        self.addCleanup(self.peer.close)
        self.addCleanup(client.close)
        self.peer.sendall(data)
        visitor = PendingConnection(self.room, client, b"", None, self.reactor)  # type: ignore[arg-type]
        visitor.come()
        return visitor

    def say(self, visitor: PendingConnection, data: bytes) -> None:
        self.peer.sendall(data)
        visitor.doRead()

    def left(self) -> None:
        """Nothing is left behind in the reactor."""
        self.assertEqual((self.reactor.getReaders(), self.reactor.getDelayedCalls()), ([], []))

    def test_aHeaderThatIsThereAtOnceNeedsNoReactor(self) -> None:
        visitor = self.come(BLOCK + b"\x16rest")
        self.assertEqual(self.room.told, ["TCP4"])
        self.assertEqual(visitor.socket.recv(100), b"\x16rest")
        self.left()

    def test_theRestOfOneThatIsNotIsAwaited(self) -> None:
        visitor = self.come(LINE[:5])
        self.assertEqual(self.room.told, ["waits"])
        self.assertEqual(self.reactor.getReaders(), [visitor])
        self.say(visitor, LINE[5:-1])
        visitor.doRead()  # woken in vain
        self.say(visitor, b"\nrest")
        self.assertEqual(self.room.told, ["waits", "TCP4"])
        self.assertEqual(visitor.socket.recv(100), b"rest")
        self.left()

    def test_whatHasComeOfItDoesNotStayInTheKernel(self) -> None:
        """It would wake the reactor again and again."""
        visitor = self.come(BLOCK[:-1])
        self.assertRaises(BlockingIOError, visitor.socket.recv, 1, socket.MSG_DONTWAIT)

    def test_theDeadlineIsAbsolute(self) -> None:
        visitor = self.come()
        for at in range(10):
            self.reactor.advance(0.499)
            self.say(visitor, LINE[at : at + 1])
        self.assertEqual(self.room.told, ["waits"])
        self.reactor.advance(0.011)
        self.assertEqual(self.room.told, ["waits", "handshake-timeout"])
        self.left()

    def test_withoutADeadline(self) -> None:
        self.patch(Room, "deadline", None)
        visitor = self.come()
        self.reactor.advance(1e9)
        visitor.hurry(1.0)
        self.assertEqual(self.room.told, ["waits"])
        self.reactor.advance(1.0)
        self.assertEqual(self.room.told, ["waits", "handshake-timeout"])

    def test_toHurryLeavesNoMoreTime(self) -> None:
        visitor = self.come()
        visitor.hurry(9.0)
        self.reactor.advance(4.5)
        visitor.hurry(1.0)
        self.reactor.advance(0.5)
        self.assertEqual(self.room.told, ["waits", "handshake-timeout"])

    def test_whatIsWrongIsKnownAtOnce(self) -> None:
        visitor = self.come(b"PROXY T")
        self.say(visitor, b"x")
        self.assertEqual(self.room.told, ["waits", "header"])
        self.assertEqual(visitor.socket.fileno(), -1)
        self.left()

    def test_itMayLeaveBeforeItSaysAnything(self) -> None:
        visitor = self.come()
        self.peer.close()
        visitor.doRead()
        self.assertEqual((self.room.told, visitor.socket.fileno()), (["waits", "gone"], -1))
        self.left()

    def test_butNotInTheMiddle(self) -> None:
        visitor = self.come(LINE[:9])
        self.peer.close()
        visitor.doRead()
        self.assertEqual(self.room.told, ["waits", "header"])

    def test_theReactorMayEndIt(self) -> None:
        visitor = self.come(LINE[:9])
        for _ in range(2):
            visitor.connectionLost(Failure(ConnectionDone()))
        self.assertEqual((self.room.told, visitor.socket.fileno()), (["waits", "gone"], -1))
        self.left()


class Broken(Factory):
    noisy = False

    def __init__(self) -> None:
        self.broken = True

    def buildProtocol(self, address: Any) -> Protocol | None:
        if self.broken:
            raise RuntimeError("I am broken")
        return None


class DrainTests(Announcing):
    """The end of a listener."""

    async def waiting(self, data: bytes = LINE[:9]) -> socket.socket:
        before = len(self.policy.waiting)
        client = self.client()
        client.sendall(data)
        await self.until(lambda: len(self.policy.waiting) > before)
        return client

    async def test_whoIsAnnouncedInTimeIsServedAndAskedToFinish(self) -> None:
        await self.announce(ConversationFactory(Echo, lingerTimeout=0.05))
        client = await self.waiting()
        await self.port.stopListening()
        self.listener.drain()
        empty = self.listener.whenEmpty()
        self.assertFalse(empty.called)
        client.sendall(LINE[9:] + b"hi")
        # The peer does not finish: it is asked to, after a silence.
        self.assertEqual(await self.ended(client), b"hi")
        await empty

    async def test_theOthersAreSentAway(self) -> None:
        self.patch(pendingconnections, "DRAIN_GRACE", 0.05)
        await self.announce(ConversationFactory(Echo), deadline=None)
        client = await self.waiting()
        self.listener.drain()
        await self.listener.whenEmpty()
        self.assertIn(await self.ended(client), (b"reset", b""))
        self.assertIn("why=handshake-timeout", self.lines[0])

    async def test_nobodyGetsMoreTimeByIt(self) -> None:
        self.patch(pendingconnections, "DRAIN_GRACE", 1000)
        await self.announce(ConversationFactory(Echo), deadline=0.05)
        client = await self.waiting()
        self.listener.drain()
        await self.listener.whenEmpty()
        self.assertIn(await self.ended(client), (b"reset", b""))

    async def test_aBareCheckThatLeavesEndsTheWait(self) -> None:
        await self.announce(ConversationFactory(Echo))
        client = await self.waiting(b"")
        empty = self.listener.whenEmpty()
        client.close()
        await empty

    async def test_abort(self) -> None:
        """At once, and without a word."""
        await self.announce(ConversationFactory(Echo))
        client = await self.waiting()
        self.assertEqual(self.listener.abort(), 0)
        self.assertTrue(self.listener.empty)
        self.assertIn(await self.ended(client), (b"reset", b""))
        self.assertEqual(self.lines, [])

    async def test_afterADrainItBeginsAnew(self) -> None:
        await self.announce(ConversationFactory(Echo))
        await self.port.stopListening()
        self.listener.drain()
        told = self.told
        listener, policy = self.listener, self.policy
        await self.announce(ConversationFactory(Echo))
        listener.addPort(self.port)  # as a service does that listens again
        client = self.client()
        client.sendall(BLOCK + b"hi")
        client.shutdown(socket.SHUT_WR)
        self.assertEqual(await self.heard(client), b"hi")
        self.assertEqual((told.endings[0].why, policy.waiting), (None, {}))


class SuspendedTests(Announcing):
    """A listener that accepts nobody."""

    async def test_whoIsAnnouncedThenWaitsUntilItDoes(self) -> None:
        await self.announce(ConversationFactory(Echo), deadline=5.0)
        client = self.client()
        await self.until(lambda: self.policy.waiting)
        self.listener.suspend("test")
        client.sendall(BLOCK + b"hi")
        await self.until(lambda: not self.policy.waiting)
        # It waits as in the backlog: the header has come, and there is no deadline any more.
        await self.talk(client.settimeout, 10)
        self.assertEqual((len(self.listener.filter), self.told.opened), (1, []))  # type: ignore[arg-type]
        self.listener.resume("another")
        self.assertEqual(self.told.opened, [])
        self.listener.resume("test")
        client.shutdown(socket.SHUT_WR)
        self.assertEqual(await self.heard(client), b"hi")

    async def test_atTheEndItIsServed(self) -> None:
        await self.announce(ConversationFactory(Echo))
        client = self.client()
        await self.until(lambda: self.policy.waiting)
        self.listener.suspend("test")
        client.sendall(BLOCK + b"hi")
        client.shutdown(socket.SHUT_WR)
        await self.until(lambda: not self.policy.waiting)
        self.listener.drain()
        self.assertEqual(await self.heard(client), b"hi")

    async def test_orAborted(self) -> None:
        await self.announce(ConversationFactory(Echo))
        client = self.client()
        await self.until(lambda: self.policy.waiting)
        self.listener.suspend("test")
        client.sendall(BLOCK + b"hi")
        await self.until(lambda: not self.policy.waiting)
        self.listener.abort()
        self.assertIn(await self.ended(client), (b"reset", b""))
        self.assertEqual(self.told.opened, [])


class CrowdTests(Announcing):
    async def test_whoHasWaitedLongestGoes(self) -> None:
        await self.announce(ConversationFactory(Echo), most=3)
        clients = []
        for number in range(5):
            clients.append(self.client())
            await self.until(lambda: len(self.policy.waiting) > min(number, 2))  # noqa: B023
            await self.turns()
        for client in clients[:2]:
            self.assertIn(await self.ended(client), (b"reset", b""))
        for client in clients[2:]:
            client.sendall(BLOCK + b"hi")
            client.shutdown(socket.SHUT_WR)
            self.assertEqual(await self.heard(client), b"hi")
        self.policy.stop()
        self.assertIn("3 who came later wait for theirs", self.lines[0])
        self.assertEqual(sum(event["count"] for event in self.logged), 2)

    async def test_aFactoryThatFailsOrWantsNobody(self) -> None:
        """It is told once, and nobody is left over."""
        factory = Broken()
        await self.announce(factory)
        for broken in (True, False):
            factory.broken = broken
            client = self.client()
            client.sendall(LINE[:9])
            await self.until(lambda: self.policy.waiting)
            client.sendall(LINE[9:])
            self.assertIn(await self.ended(client), (b"reset", b""))
            self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), int(broken))
            await self.until(lambda: self.listener.empty)


class AnnouncedByTests(SynchronousTestCase):
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
            announced = announcedBy(header)
            assert announced is not None
            self.assertEqual((announced.peer, announced.header), (expected, header))

    def test_nobody(self) -> None:
        self.assertIsNone(announcedBy(ProxyHeader(1)))
        self.assertIsNone(announcedBy(ProxyHeader(2, "LOCAL")))
