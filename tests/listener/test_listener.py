"""Tests for `tcplab.listener.listener`."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet import reactor
from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred, DeferredQueue
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import DatagramProtocol, Factory, Protocol
from twisted.internet.ssl import CertificateOptions
from twisted.internet.testing import MemoryReactorClock
from twisted.protocols.policies import WrappingFactory
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tcplab.listener.events import Connection, Ending
from tcplab.listener.listener import Listener
from tcplab.listener.policy import Policy
from tcplab.listener.servertransport import Server
from tcplab.observers import LogObserver, Observers
from tcplab.protocols.conversation import Conversation
from tcplab.testing import Peer, connected
from tests.support.certificates import localhostFile
from tests.support.socket_server import Serving, readAll

net: Any = reactor


class Meeting(Factory):
    """Build plain protocols, and hand each to the test when it is connected."""

    noisy = False

    def __init__(self, kind: type[Protocol] | None = None) -> None:
        self.queue: DeferredQueue[Any] = DeferredQueue()
        self.kind = kind or Met

    def buildProtocol(self, addr: Any) -> Any:
        protocol = self.kind()
        protocol.factory = self
        return protocol


class Met(Protocol):
    """A plain echo without ``connectionDraining``."""

    def connectionMade(self) -> None:
        self.factory.queue.put(self)  # type: ignore[union-attr]

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(data)  # type: ignore[union-attr]


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


class Refusing(Factory):
    """Build nothing."""

    noisy = False

    def buildProtocol(self, addr: Any) -> None:
        return None


@implementer(IListeningPort)
class StrangePort:
    """A port of an unknown kind."""

    def startListening(self) -> None: ...

    def stopListening(self) -> None: ...

    def getHost(self) -> None: ...


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
            (StrangePort(), False),
        ]
        for port, added in ports:
            self.addCleanup(port.stopListening)
            before = dict(vars(port))
            self.assertIs(Listener("test", Observers()).addPort(port), added)
            if not added:
                self.assertEqual(vars(port), before)
                self.assertIsNone(Listener.of(port, "test", Observers()))

    async def test_clock(self) -> None:
        """Policies and observers without a clock have the reactor of the port."""
        before, after, log = Policy(), Policy(), LogObserver()
        await self.serve(Refusing())
        self.listener.observers = Observers(log)
        before.watch(self.listener)
        port = net.listenTCP(0, Refusing(), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.listener.addPort(port)
        after.watch(self.listener)
        self.assertEqual((before.clock, after.clock, log._clock), (net, net, net))

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
            await turns()
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


async def turns(number: int = 5) -> None:
    """Let the reactor turn."""
    for _ in range(number):
        done: Deferred[None] = Deferred()
        net.callLater(0, done.callback, None)
        await done


class ConnectionsTests(Serving):
    """A listener knows its connections, and reports them."""

    async def test_severalPorts(self) -> None:
        """All connections of its ports are its own, and counted together from 1."""
        told = await self.serve(factory := Meeting())
        self.assertEqual(self.listener.connections, set())
        path = self.unixPath()
        port = net.listenUNIX(path, factory)
        self.addCleanup(port.stopListening)
        self.assertTrue(self.listener.addPort(port))
        unix = socket.socket(socket.AF_UNIX)
        unix.connect(path)
        for sock in (self.connect(), self.connect(), unix):
            self.addCleanup(sock.close)
        protocols = {await factory.queue.get() for _ in range(3)}
        connections = self.listener.connections
        self.assertEqual({each.protocol for each in connections}, protocols)
        self.assertEqual(sum(isinstance(each, Server) for each in connections), 2)
        self.assertEqual(sorted(each.number for each in told.opened), [1, 2, 3])
        sock.close()
        await told.ending()
        self.assertEqual((len(connections), self.listener.abort()), (2, 2))
        await self.listener.whenEmpty()
        self.assertEqual(connections, set())

    async def test_order(self) -> None:
        """The opening is reported before the protocol's, the end after the protocol's."""
        book: list[str] = []

        class Ordered:
            def connectionOpened(self, connection: Connection) -> None:
                book.append("opened")

            def connectionClosed(self, connection: Connection, ending: Ending) -> None:
                book.append("closed")

        class Writes(Met):
            def connectionMade(self) -> None:
                book.append("made")

            def connectionLost(self, reason: Any = None) -> None:
                book.append("lost")

        told = await self.serve(Meeting(Writes))
        self.listener.observers = Observers(Ordered(), told)
        self.connect().close()
        await told.ending()
        self.assertEqual(book, ["opened", "made", "lost", "closed"])

    async def test_oneValue(self) -> None:
        """What an observer noted at the opening is found at the end, also without the port."""
        for endpoint in ("tcp:0:interface=127.0.0.1", f"unix:{self.unixPath()}"):
            told = await self.serve(factory := Meeting(), endpoint)
            with socket.socket(socket.AF_UNIX) if "unix" in endpoint else self.connect() as sock:
                if "unix" in endpoint:
                    sock.connect(self.host.name)
                await factory.queue.get()
                await self.port.stopListening()
                [transport] = self.listener.connections
                self.assertIn(transport.connection, {told.opened[0]: "noted"})
            await told.ending()

    async def test_refusedByTheFactory(self) -> None:
        """No connection is made where the factory builds no protocol."""
        told = await self.serve(Refusing())
        with self.connect() as sock:
            self.assertEqual(await self.talk(readAll, sock), b"")
        self.assertEqual((told.opened, told.endings, self.listener.connections), ([], [], set()))

    def test_handshake(self) -> None:
        """A connection in a handshake is accepted, and opened after that, once."""
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
        listener.connectionAccepted(transport, None, established=False)
        self.assertEqual(book, [("accepted", False)])
        self.assertEqual(transport.accepted, peer.clock.seconds())
        self.assertEqual(transport.connection.host, transport.getHost())
        transport.connectionOpened()
        transport.connectionOpened()
        peer.finish()
        self.assertEqual(book[1:], [("opened", True), ("closed", False)])

    def test_host(self) -> None:
        """The local address of a port is not asked for again."""
        transport, host = connected(Protocol()).transport, IPv4Address("TCP", "127.0.0.9", 1)
        Listener("test", Observers()).connectionAccepted(transport, host, established=True)
        self.assertIs(transport.connection.host, host)


class SuspendTests(Serving):
    """Clients wait in the listen queue while accepting is suspended."""

    def client(self) -> socket.socket:
        sock = self.connect()
        self.addCleanup(sock.close)
        return sock

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
            self.assertEqual(await self.talk(here.recv, 100), b"still here?")
            self.assertEqual((self.listener.suspended, len(told.opened)), (True, 1))
        self.listener.resume("full")
        self.assertFalse(self.listener.suspended)
        for _ in waiting:
            await factory.queue.get()
        self.assertEqual(await self.talk(waiting[0].recv, 100), b"sent meanwhile")

    async def test_allPorts(self) -> None:
        """It holds for all ports, those too that are added meanwhile."""
        told = await self.serve(factory := Meeting())
        self.listener.suspend("full")
        path = self.unixPath()
        port = net.listenUNIX(path, factory)
        self.addCleanup(port.stopListening)
        self.listener.addPort(port)
        self.assertNotIn(port, net.getReaders())
        self.client()
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(path)
            await turns()
            self.assertEqual(told.opened, [])
            self.listener.resume("full")
            await factory.queue.get()
            await factory.queue.get()

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
        await turns()
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


class DrainTests(SynchronousTestCase):
    """Every connection is asked to finish."""

    def drained(self, protocol: Any, replacement: Any = None) -> Peer:
        peer = connected(protocol)
        if replacement is not None:
            peer.transport.protocol = replacement
            replacement.makeConnection(peer.transport)
        peer.listener.drain()
        self.assertIs(peer.listener.draining, True)
        return peer

    def test_kinds(self) -> None:
        """The protocol is found that is in use now, within Twisted's wrappers too."""
        wrapped = WrappingFactory(WrappingFactory(Factory.forProtocol(PlainDrains)))
        for protocol, replacement in (
            (Drains(), None),
            (PlainDrains(), None),
            (wrapped, None),
            (Protocol(), PlainDrains()),
        ):
            peer = self.drained(protocol, replacement)
            self.assertEqual((peer.value(), peer.wasReset), (b"goodbye", False))
            peer.listener.drain()  # changes nothing
            peer.finish()
            self.assertEqual(peer.value(), b"goodbye")
            ending: Any = peer.ending
            self.assertEqual((ending.by, ending.how, ending.why), ("server", "fin", None))

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
        ending: Any = peer.ending
        self.assertEqual((ending.how, ending.why), ("reset", "error"))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)


class HandshakeTests(Serving):
    """A connection in its TLS handshake is asked afterwards; it may be reset before."""

    async def test_asked(self) -> None:
        """A conversation behind TLS is asked once."""
        pem = localhostFile(self.folder())
        told = await self.serve(
            factory := Meeting(Drains),
            f"ssl:0:privateKey={pem}:certKey={pem}:interface=127.0.0.1",
        )
        context = CertificateOptions().getContext()

        def client() -> bytes:
            from OpenSSL.SSL import Connection as TLS

            sock = self.connect()
            sock.settimeout(None)
            tls = TLS(context, sock)
            tls.set_connect_state()
            tls.do_handshake()
            heard: bytes = tls.recv(100)
            tls.sock_shutdown(socket.SHUT_RDWR)
            tls.close()
            return heard

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
                ending = await told.ending()
            self.assertEqual(self.listener.abort(), 0)
            self.assertEqual((ending.by, ending.how), ("server", "reset"))
            self.assertEqual(ending.why, "drain-timeout")
            self.assertEqual((len(told.opened), conversation.drained), (0 if tls else 1, 0))
