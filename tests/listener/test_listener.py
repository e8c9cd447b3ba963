"""Tests for `tcplab.listener.listener`."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet import reactor
from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError
from twisted.internet.endpoints import serverFromString
from twisted.internet.protocol import DatagramProtocol, Factory, Protocol
from twisted.internet.ssl import CertificateOptions
from twisted.internet.testing import MemoryReactorClock
from twisted.protocols.policies import WrappingFactory
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import SynchronousTestCase

from tcplab.listener.events import Connection, Ending
from tcplab.listener.listener import Listener
from tcplab.listener.policy import Policy
from tcplab.listener.servertransport import Server
from tcplab.observers import LogObserver, Observers
from tcplab.protocols.conversation import Conversation
from tcplab.testing import Peer, connected
from tests.support.certificates import overTLS
from tests.support.meeting import Meeting, Refusing
from tests.support.socket_server import Serving, readAll

net: Any = reactor


class Drains(Conversation):
    """Say goodbye when asked to drain; the test may know it before its handshake is over."""

    drained = 0

    def makeConnection(self, transport: Any) -> None:
        super().makeConnection(transport)
        if isinstance(self.factory, Meeting):
            self.factory.queue.put(self)

    def connectionDraining(self) -> None:
        self.drained += 1
        self.write(b"goodbye")
        self.hangUp()


class PlainDrains(Protocol):
    """A plain protocol that has the hook."""

    def connectionDraining(self) -> None:
        self.transport.write(b"goodbye")  # type: ignore[union-attr]
        self.transport.loseConnection()  # type: ignore[union-attr]


class FailsToDrain(Protocol):
    def connectionDraining(self) -> None:
        raise RuntimeError("a bug of the subclass")


class PortTests(Serving):
    """Twisted's own stream ports can be added, and have one listener."""

    async def test_kinds(self) -> None:
        """TCP, TLS and Unix sockets; others stay as they are."""
        local = {"interface": "127.0.0.1"}
        ports = [
            (net.listenTCP(0, Refusing(), **local), True),
            (net.listenSSL(0, Refusing(), CertificateOptions(), **local), True),
            (net.listenUNIX(self.unixPath(), Refusing()), True),
            (net.listenUDP(0, DatagramProtocol(), **local), False),
            (MemoryReactorClock().listenTCP(0, Refusing()), False),
        ]
        for port, added in ports:
            self.addCleanup(port.stopListening)
            before = dict(vars(port))
            self.assertIs(Listener("test", Observers()).addPort(port), added)
            if not added:
                self.assertEqual(vars(port), before)
                self.assertIsNone(Listener.of(port, "test", Observers()))

    async def test_added(self) -> None:
        """Policies and observers without a clock have the reactor of the port; no drain goes on."""
        added: list[object] = []

        class Notes(Policy):
            def portAdded(self, listener: object) -> None:
                added.append(listener)

        await self.serve(Meeting())
        before, after, log = Notes(), Policy(), LogObserver()
        listener = Listener("test", Observers(log))
        before.watch(listener)
        listener.drain()
        listener.addPort(self.port)
        after.watch(listener)
        self.assertEqual((before.clock, after.clock, log._clock), (net, net, net))
        self.assertEqual((added, listener.draining), ([listener], False))

    async def test_otherListener(self) -> None:
        """The earlier listener loses the port, and keeps its policies."""
        told = await self.serve(factory := Meeting())
        first, second = self.listener, Listener("second", Observers(told))
        (policy := Policy()).watch(first)
        second.addPort(self.port)
        self.assertEqual((first.policies, second.policies), ((policy,), ()))
        second.suspend("full")
        first.suspend("x")
        first.resume("x")
        with self.connect():
            await self.turns()
            self.assertEqual(told.opened, [])
            second.resume("full")
            await factory.queue.get()
            self.assertEqual([each.listener for each in told.opened], ["second"])
            second.abort()
            await second.whenEmpty()

    async def test_ofPort(self) -> None:
        """The policies of a port's own listener go over to the one that adds the port, once."""
        port = await serverFromString(net, "tcp:0:interface=127.0.0.1").listen(Meeting())
        self.addCleanup(port.stopListening)
        own = Listener.of(port, "inner", Observers())
        assert own is not None
        self.assertIs(Listener.of(port, "outer", Observers()), own)
        self.assertEqual(own.name, "outer")
        policies = [Policy(), Policy(), Policy()]
        for each in policies[1:]:
            each.watch(own)
        own.addPolicy(policies[0], first=True)  # not by watch(): it does not know the listener
        other = Listener("other", Observers())
        (earlier := Policy()).watch(other)
        other.addPort(port)
        self.assertEqual(other.policies, (earlier, *policies[1:]))
        self.assertEqual((own.policies, own.ports), ((policies[0],), []))
        self.assertIs(Listener.of(port, "any", Observers()), other)
        self.assertEqual(other.name, "other")


class ConnectionsTests(Serving):
    """A listener knows its connections, and reports them."""

    async def test_severalPorts(self) -> None:
        """All connections of its ports are its own; suspending holds for a port added later."""
        told = await self.serve(factory := Meeting())
        self.listener.suspend("full")
        port = net.listenUNIX(path := self.unixPath(), factory)
        self.addCleanup(port.stopListening)
        self.assertTrue(self.listener.addPort(port))
        self.assertNotIn(port, net.getReaders())
        unix = socket.socket(socket.AF_UNIX)
        self.addCleanup(unix.close)
        unix.connect(path)
        sock, _ = self.client(), self.client()
        await self.turns()
        self.assertEqual((told.opened, connections := self.listener.connections), ([], set()))
        self.listener.resume("full")
        protocols = {await factory.queue.get() for _ in range(3)}
        self.assertEqual({each.protocol for each in connections}, protocols)
        self.assertEqual(sum(isinstance(each, Server) for each in connections), 2)
        self.assertEqual(sorted(each.number for each in told.opened), [1, 2, 3])
        sock.close()
        await told.ending()
        self.assertEqual((len(connections), self.listener.abort()), (2, 2))
        await self.listener.whenEmpty()
        self.assertEqual(connections, set())

    async def test_order(self) -> None:
        """The opening is reported before the protocol's, the same connection's end after it."""
        book: list[str] = []

        class Ordered:
            def connectionOpened(self, connection: Connection) -> None:
                book.append("opened")
                self.connection = connection

            def connectionClosed(self, connection: Connection, ending: Ending) -> None:
                book.append("closed")
                assert connection == self.connection

        class Writes(Protocol):
            def connectionMade(self) -> None:
                book.append("made")

            def connectionLost(self, reason: Any = None) -> None:
                book.append("lost")

        told = await self.serve(Meeting(Writes))
        self.listener.observers = Observers(Ordered(), told)
        with self.connect():
            await self.until(lambda: book[1:])
            await self.port.stopListening()
        await told.ending()
        self.assertEqual(book, ["opened", "made", "lost", "closed"])

    def test_handshake(self) -> None:
        """
        A connection in a handshake is accepted, and opened after that, once.

        The local address of a port is not asked for again.
        """
        peer = connected(Protocol())
        transport = peer.transport
        transport.established = False
        book: list[Any] = []

        class Notes(Policy):
            def connectionAccepted(self, transport: Any) -> None:
                book.append(("accepted", transport.established))

            def connectionOpened(self, transport: Any) -> None:
                book.append(("opened", transport.established))

            def connectionClosed(self, transport: Any) -> None:
                book.append(("closed", transport in transport.listener.connections))

        listener = Listener("test", Observers())
        listener.addPolicy(Notes())
        peer.clock.advance(3)
        listener.connectionAccepted(transport, None, established=False)
        self.assertEqual((book, transport.accepted), ([("accepted", False)], 3.0))
        self.assertEqual(transport.connection.host, transport.getHost())
        transport.connectionOpened()
        transport.connectionOpened()
        peer.finish()
        self.assertEqual(book[1:], [("opened", True), ("closed", False)])
        host = IPv4Address("TCP", "127.0.0.9", 1)
        listener.connectionAccepted(transport, host, established=False)
        self.assertIs(transport.connection.host, host)


class SuspendTests(Serving):
    """Clients wait in the listen queue while accepting is suspended."""

    async def test_waitsAndIsServed(self) -> None:
        """Until every reason is taken back; open connections go on meanwhile."""
        told = await self.serve(factory := Meeting())
        here = self.client()
        await factory.queue.get()
        for reason in ("full", "by hand", "by hand"):
            self.listener.suspend(reason)
        waiting = [self.client() for _ in range(3)]
        waiting[0].sendall(b"sent meanwhile")
        for reason in ("by hand", "never given"):
            self.listener.resume(reason)
            here.sendall(b"still here?")
            self.assertEqual(await self.heard(here), b"still here?")
            self.assertEqual((self.listener.suspended, len(told.opened)), (True, 1))
        self.listener.resume("full")
        self.assertFalse(self.listener.suspended)
        for _ in waiting:
            await factory.queue.get()
        self.assertEqual(await self.heard(waiting[0]), b"sent meanwhile")

    async def test_policy(self) -> None:
        """A policy may do the same, in the middle of a batch."""

        class Two(Policy):
            def mayAccept(self) -> bool:
                return len(self.listeners[0].connections) < 2

        told = await self.serve(factory := Meeting())
        Two().watch(self.listener)
        clients = [self.client() for _ in range(3)]
        for _ in range(2):
            await factory.queue.get()
        await self.turns()
        self.assertEqual((len(told.opened), self.listener.mayAccept()), (2, False))
        clients[0].close()
        await factory.queue.get()
        self.assertEqual(len(self.listener.connections), 2)

    async def test_closedPort(self) -> None:
        """The clients in the queue of a port that closes are reset; resume() does not open it."""
        await self.serve(Meeting())
        self.listener.suspend("full")
        sock = self.client()
        await self.port.stopListening()
        self.assertRaises(ConnectionResetError, sock.recv, 1)
        self.listener.resume("full")
        self.assertNotIn(self.port, net.getReaders())
        self.assertRaises(ConnectionRefusedError, self.connect)


class WhenEmptyTests(SynchronousTestCase):
    """It fires when the last connection has ended."""

    def test_noConnection(self) -> None:
        self.assertIsNone(self.successResultOf(Listener("test", Observers()).whenEmpty()))

    def test_lastConnection(self) -> None:
        """After its end was reported; one that was cancelled harms no other."""
        peer = connected(Protocol())
        seen: list[Any] = []
        cancelled, *waiting = (peer.listener.whenEmpty() for _ in range(3))
        waiting[0].addCallback(lambda _: seen.append(peer.ending))
        cancelled.cancel()
        self.failureResultOf(cancelled, CancelledError)
        self.assertNoResult(waiting[1])
        peer.finish()
        self.assertIsNone(self.successResultOf(waiting[1]))
        self.assertEqual(seen, [peer.ending])
        self.assertIsNotNone(peer.ending)


def ending(peer: Peer) -> tuple[str, str, str | None]:
    """Return the side that ended a connection, how and why."""
    assert peer.ending is not None
    return peer.ending[:3]


class DrainTests(SynchronousTestCase):
    """Every connection is asked to finish."""

    def test_kinds(self) -> None:
        """The protocol is found that is in use now, within Twisted's wrappers too."""
        wrapped = WrappingFactory(WrappingFactory(Factory.forProtocol(PlainDrains)))
        for protocol, replacement in (
            (Drains(), None),
            (PlainDrains(), None),
            (wrapped, None),
            (Protocol(), PlainDrains()),
        ):
            peer = connected(protocol)
            if replacement is not None:
                peer.transport.protocol = replacement
                replacement.makeConnection(peer.transport)
            for _ in range(2):  # the second time changes nothing
                peer.listener.drain()
                self.assertIs(peer.listener.draining, True)
                self.assertEqual((peer.value(), peer.wasReset), (b"goodbye", False))
            peer.finish()
            self.assertEqual((peer.value(), ending(peer)), (b"goodbye", ("server", "fin", None)))

    def test_withoutTheHook(self) -> None:
        """A protocol without the hook is closed when all that it wrote has been sent."""
        peer = connected(protocol := Protocol())
        peer.reading = False
        protocol.transport.write(b"x" * 500_000)  # type: ignore[union-attr]
        peer.listener.drain()
        self.assertTrue(peer.connected)
        peer.resume()
        self.assertEqual((len(peer.value()), peer.wasReset), (500_000, False))
        self.assertFalse(peer.connected)

    def test_hookRaises(self) -> None:
        """An exception in one hook is logged, and resets that connection."""
        peer = connected(FailsToDrain())
        peer.listener.drain()
        self.assertFalse(peer.connected)
        self.assertEqual(ending(peer), ("server", "reset", "error"))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)


class HandshakeTests(Serving):
    """A connection in its TLS handshake is asked afterwards; it may be reset before."""

    async def test_asked(self) -> None:
        """A conversation behind TLS is asked once."""
        told = await self.serve(factory := Meeting(Drains), self.tlsEndpoint())

        def client() -> bytes:
            with overTLS(self.connect()) as tls:
                return readAll(tls)

        reading = self.talk(client)
        conversation = await factory.queue.get()
        self.listener.drain()
        self.assertEqual(await reading, b"goodbye")
        await told.ending()
        self.assertEqual((len(told.opened), conversation.drained), (1, 1))

    async def test_aborted(self) -> None:
        """All are reset and counted, in a handshake or not."""
        for tls in (True, False):
            factory = Meeting(Drains)
            options = CertificateOptions()
            told = await self.serve(
                TLSMemoryBIOFactory(options, False, factory) if tls else factory
            )
            with self.connect():
                conversation = await factory.queue.get()
                if tls:
                    self.listener.drain()
                self.assertEqual(self.listener.abort(), 1)
                reported = await told.ending()
            self.assertEqual(self.listener.abort(), 0)
            self.assertEqual(reported[:3], ("server", "reset", "drain-timeout"))
            self.assertEqual((len(told.opened), conversation.drained), (0 if tls else 1, 0))
