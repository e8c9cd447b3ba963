"""Tests for `tcplab.reactor.port`."""

from __future__ import annotations

import os
import socket
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, DeferredQueue
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import DatagramProtocol, Factory, Protocol
from twisted.internet.ssl import CertificateOptions
from twisted.internet.testing import MemoryReactorClock
from twisted.protocols.policies import WrappingFactory
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tcplab.observers import Observers
from tcplab.protocols.conversation import Conversation
from tcplab.protocols.factory import ConversationFactory
from tcplab.reactor.connection import Connection, Ending
from tcplab.reactor.port import Listener
from tcplab.reactor.transport import Server, UnixServer
from tcplab.testing import connected
from tests.certificates import localhostFile
from tests.serving import Serving, readAll

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
    """A plain protocol: it says what it has to say and knows nothing of draining."""

    def connectionMade(self) -> None:
        self.factory.queue.put(self)  # type: ignore[union-attr]

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(data)  # type: ignore[union-attr]


class MetConversation(Conversation):
    """A conversation that says goodbye when it is told to drain."""

    def connectionMade(self) -> None:
        self.factory.queue.put(self)  # type: ignore[union-attr]

    def connectionDraining(self) -> None:
        self.write(b"goodbye")
        self.hangUp()


class FailsToDrain(MetConversation):
    def connectionDraining(self) -> None:
        raise RuntimeError("a bug of the subclass")


class Unmet(Conversation):
    """A conversation that the test knows before its handshake is over."""

    drained = False

    def makeConnection(self, transport: Any) -> None:
        super().makeConnection(transport)
        self.factory.queue.put(self)  # type: ignore[union-attr]

    def connectionDraining(self) -> None:
        self.drained = True


class PlainThatDrains(Met):
    """A plain protocol that has the hook."""

    def connectionDraining(self) -> None:
        self.transport.write(b"I heard")  # type: ignore[union-attr]
        self.transport.loseConnection()  # type: ignore[union-attr]


class Refusing(Factory):
    """Build nothing."""

    noisy = False

    def buildProtocol(self, addr: Any) -> None:
        return None


class Ordered:
    """Write down, with what the protocols say, when a connection is told."""

    def __init__(self) -> None:
        self.book: list[str] = []

    def connectionOpened(self, connection: Connection) -> None:
        self.book.append("opened")

    def connectionClosed(self, connection: Connection, ending: Ending) -> None:
        self.book.append("closed")


@implementer(IListeningPort)
class StrangePort:
    """Somebody's own kind of port."""

    def startListening(self) -> None: ...

    def stopListening(self) -> None: ...

    def getHost(self) -> None: ...


class WatchTests(SynchronousTestCase):
    """Only what can be watched is."""

    def test_strangePort(self) -> None:
        """A port of another kind is left as it is, and it is said that nothing is told of it."""
        listener = Listener("test", Observers())
        for port in (StrangePort(), MemoryReactorClock().listenTCP(0, Refusing())):
            before = dict(vars(port))
            self.assertIs(listener.watch(port), False)
            self.assertEqual(vars(port), before)


class RealPortTests(Serving):
    """Of the reactor's own ports, those of streams can be watched."""

    async def watched(self, listen: Any, *args: Any, **keywords: Any) -> bool:
        port = listen(*args, **keywords)
        self.addCleanup(port.stopListening)
        return Listener("test", Observers()).watch(port)

    async def test_streams(self) -> None:
        """TCP, TLS and Unix sockets."""
        self.assertIs(await self.watched(net.listenTCP, 0, Refusing(), interface="127.0.0.1"), True)
        self.assertIs(await self.watched(net.listenUNIX, self.unixPath(), Refusing()), True)
        tls = await self.watched(
            net.listenSSL, 0, Refusing(), CertificateOptions(), interface="127.0.0.1"
        )
        self.assertIs(tls, True)

    async def test_datagrams(self) -> None:
        """There are no connections on UDP."""
        udp = await self.watched(net.listenUDP, 0, DatagramProtocol(), interface="127.0.0.1")
        self.assertIs(udp, False)


class ConnectionsTests(Serving):
    """A listener knows what is connected, and tells it."""

    async def test_live(self) -> None:
        """The set holds the transports that are open now, with their protocols."""
        told = await self.serve(factory := Meeting())
        self.assertEqual(self.listener.connections, set())
        first, second = self.connect(), self.connect()
        protocols = [await factory.queue.get(), await factory.queue.get()]
        self.assertEqual(
            {transport.protocol for transport in self.listener.connections}, set(protocols)
        )
        for transport in self.listener.connections:
            self.assertIsInstance(transport, Server)
        first.close()
        await told.ending()
        self.assertEqual(len(self.listener.connections), 1)
        second.close()
        await told.ending(2)
        self.assertEqual(self.listener.connections, set())

    async def test_numbers(self) -> None:
        """They are counted from 1."""
        told = await self.serve(factory := Meeting())
        for _ in range(3):
            self.connect().close()
            await factory.queue.get()
        await told.ending(3)
        self.assertEqual([each.number for each in told.opened], [1, 2, 3])

    async def test_toldBeforeTheProtocolSpeaks(self) -> None:
        """The beginning is told before the protocol's, the end after the protocol's."""
        ordered = Ordered()

        class Writes(Met):
            def connectionMade(self) -> None:
                ordered.book.append("made")
                super().connectionMade()

            def connectionLost(self, reason: Any = None) -> None:
                ordered.book.append("lost")

        told = await self.serve(Meeting(Writes))
        self.listener.observers = Observers(ordered, told)
        self.connect().close()
        await told.ending()
        self.assertEqual(ordered.book, ["opened", "made", "lost", "closed"])

    async def test_oneValueFromBeginningToEnd(self) -> None:
        """Whoever is told the end can look up what was noted at the beginning."""
        noted: dict[Connection, str] = {}
        found: list[str | None] = []

        class Notes:
            def connectionOpened(self, connection: Connection) -> None:
                noted[connection] = "noted"

            def connectionClosed(self, connection: Connection, ending: Ending) -> None:
                found.append(noted.pop(connection, None))

        for endpoint in ("tcp:0:interface=127.0.0.1", r"tcp6:0:interface=\:\:"):
            told = await self.serve(Meeting(), endpoint)
            self.listener.observers = Observers(Notes(), told)
            self.connect().close()
            await told.ending()
        self.assertEqual((noted, found), ({}, ["noted"] * 2))

    async def test_oneValueOnUnixSocketsToo(self) -> None:
        """Even when the port has gone before the connection, and its file with it."""
        told = await self.serve(factory := Meeting(), f"unix:{self.unixPath()}")
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(self.port.getHost().name)
            await factory.queue.get()
            noted = {told.opened[0]: "noted"}
            await self.port.stopListening()
            ended = next(iter(self.listener.connections)).connection
        await told.ending()
        self.assertEqual((ended, noted.get(ended)), (told.opened[0], "noted"))

    async def test_refusedByTheFactory(self) -> None:
        """A connection that the factory wants nothing of is none."""
        told = await self.serve(Refusing())

        def client() -> bytes:
            with self.connect() as sock:
                return readAll(sock)

        self.assertEqual(await self.talk(client), b"")
        self.assertEqual((told.opened, told.endings), ([], []))
        self.assertEqual(self.listener.connections, set())

    async def test_severalPorts(self) -> None:
        """One listener watches several ports; all their connections are its own."""
        told = await self.serve(factory := Meeting())
        path = self.unixPath()
        for endpoint in ("tcp:0:interface=127.0.0.1", f"unix:{path}"):
            port = await serverFromString(net, endpoint).listen(factory)
            self.addCleanup(port.stopListening)
            self.assertTrue(self.listener.watch(port))
            if endpoint.startswith("tcp"):
                other = port.getHost().port
        unix = socket.socket(socket.AF_UNIX)
        unix.connect(path)
        clients = [self.connect(), socket.create_connection(("127.0.0.1", other)), unix]
        for sock in clients:
            self.addCleanup(sock.close)
        for _ in clients:
            await factory.queue.get()
        self.assertEqual(len(self.listener.connections), 3)
        self.assertEqual(self.listener.abort(), 3)
        await self.listener.whenEmpty()
        self.assertEqual(len(told.endings), 3)

    async def test_severalPortsCountTogether(self) -> None:
        """The number is the listener's count: no two of its connections have the same."""
        told = await self.serve(factory := Meeting())
        port = await serverFromString(net, "tcp:0:interface=127.0.0.1").listen(factory)
        self.addCleanup(port.stopListening)
        self.listener.watch(port)
        self.connect().close()
        await told.ending()
        socket.create_connection(("127.0.0.1", port.getHost().port)).close()
        await told.ending(2)
        self.assertEqual([each.number for each in told.opened], [1, 2])

    async def test_answersLeaveAtOnce(self) -> None:
        """Nothing waits for a segment to be full."""
        await self.serve(factory := Meeting())
        with self.connect():
            protocol = await factory.queue.get()
            self.assertTrue(protocol.transport.getTcpNoDelay())


class AddressTests(Serving):
    """Who connected is told by the address that people know."""

    async def test_mapped(self) -> None:
        """An IPv4 peer of an IPv6 socket is an IPv4 peer, to the protocol too."""
        told = await self.serve(factory := Meeting(), r"tcp6:0:interface=\:\:")
        with self.connect() as sock:
            protocol = await factory.queue.get()
            peer, host = protocol.transport.getPeer(), protocol.transport.getHost()
            self.assertEqual((peer.type, peer.host, peer.port), ("TCP", *sock.getsockname()))
            self.assertEqual((host.type, host.host, host.port), ("TCP", *sock.getpeername()))
            self.assertEqual((type(peer).__name__, type(host).__name__), ("IPv4Address",) * 2)
            [opened] = told.opened
            self.assertEqual((opened.peer, opened.host), (peer, host))

    async def test_trueIPv6(self) -> None:
        """An IPv6 peer stays one."""
        told = await self.serve(factory := Meeting(), r"tcp6:0:interface=\:\:")
        with socket.create_connection(("::1", self.host.port)) as sock:
            await factory.queue.get()
            [opened] = told.opened
            peer, host = opened.peer, opened.host
            self.assertEqual((peer.host, peer.port), sock.getsockname()[:2])
            self.assertEqual((host.host, host.port), sock.getpeername()[:2])
            self.assertEqual((type(peer).__name__, type(host).__name__), ("IPv6Address",) * 2)
            self.assertEqual(opened.prefix, "Met,1,::1")

    async def test_unixPeerOfAHostileName(self) -> None:
        """A Unix peer may have bound its socket to any name; none breaks out of its log line."""
        told = await self.serve(factory := Meeting(), f"unix:{self.unixPath()}")
        folder = self.folder()
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(os.fsencode(folder) + b"/\n[Met,2,unix] closed\x1b[2J\xff")
            sock.connect(self.port.getHost().name)
            await factory.queue.get()
            [opened] = told.opened
            self.assertLessEqual(set(opened.prefix), set(map(chr, range(0x20, 0x7F))))

    async def test_unixTransport(self) -> None:
        """A Unix socket's transport is one that passes descriptors, as Twisted's."""
        path = self.unixPath()
        await self.serve(factory := Meeting(), f"unix:{path}")
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(path)
            protocol = await factory.queue.get()
            self.assertIsInstance(protocol.transport, UnixServer)


class WhenEmptyTests(SynchronousTestCase):
    """It can be waited for that all have gone."""

    def test_nobodyThere(self) -> None:
        """At once."""
        self.assertIsNone(self.successResultOf(Listener("test", Observers()).whenEmpty()))

    def test_lastOneGoes(self) -> None:
        """With the last connection, after its end was told; everyone who waits is told."""
        peer = connected(Protocol())
        seen: list[Any] = []
        waiting = [peer.listener.whenEmpty(), peer.listener.whenEmpty()]
        waiting[0].addCallback(lambda _: seen.append(peer.ending))
        self.assertNoResult(waiting[0])
        self.assertNoResult(waiting[1])
        peer.finish()
        self.assertIsNone(self.successResultOf(waiting[1]))
        self.assertEqual(seen, [peer.ending])
        self.assertIsNotNone(peer.ending)

    def test_cancelled(self) -> None:
        """Who waits no longer is not told, and harms nobody else."""
        peer = connected(Protocol())
        impatient, patient = peer.listener.whenEmpty(), peer.listener.whenEmpty()
        impatient.cancel()
        self.failureResultOf(impatient, CancelledError)
        peer.finish()
        self.assertIsNone(self.successResultOf(patient))


class DrainTests(Serving):
    """Every conversation is asked to finish."""

    async def test_nobodyThere(self) -> None:
        """Then there is nobody to ask."""
        await self.serve(Meeting())
        self.listener.drain()
        self.assertEqual(self.listener.abort(), 0)

    async def test_conversations(self) -> None:
        """Each is told, and ends in its own way."""
        told = await self.serve(factory := Meeting(MetConversation))
        clients = [self.connect(), self.connect()]
        for _ in clients:
            await factory.queue.get()
        self.listener.drain()
        for sock in clients:
            self.assertEqual(await self.talk(readAll, sock), b"goodbye")
            sock.close()
        await self.listener.whenEmpty()
        self.assertEqual(
            [(each.by, each.how, each.why) for each in told.endings], [("server", "fin", None)] * 2
        )

    async def test_plainProtocol(self) -> None:
        """One without the hook is closed when what it wrote has left, all of it."""
        told = await self.serve(factory := Meeting())
        with self.connect() as sock:
            protocol = await factory.queue.get()
            protocol.transport.write(b"x" * 5_000_000)
            self.listener.drain()
            self.assertEqual(len(await self.talk(readAll, sock)), 5_000_000)
        ending = await told.ending()
        self.assertEqual((ending.by, ending.how, ending.why), ("server", "fin", None))

    async def test_plainProtocolWithTheHook(self) -> None:
        """Any protocol may have it."""
        await self.serve(factory := Meeting(PlainThatDrains))
        with self.connect() as sock:
            await factory.queue.get()
            self.listener.drain()
            self.assertEqual(await self.talk(readAll, sock), b"I heard")

    async def test_wrappedProtocol(self) -> None:
        """A protocol within Twisted's wrappers is found there."""
        factory = Meeting(PlainThatDrains)
        await self.serve(WrappingFactory(WrappingFactory(factory)))
        with self.connect() as sock:
            await factory.queue.get()
            self.listener.drain()
            self.assertEqual(await self.talk(readAll, sock), b"I heard")

    async def test_replacedProtocol(self) -> None:
        """It is the protocol that speaks now that is asked."""
        await self.serve(factory := Meeting())
        with self.connect() as sock:
            old = await factory.queue.get()
            new = PlainThatDrains()
            new.factory = factory
            old.transport.protocol = new
            new.makeConnection(old.transport)
            self.listener.drain()
            self.assertEqual(await self.talk(readAll, sock), b"I heard")

    async def test_overTLS(self) -> None:
        """A conversation behind TLS is told as well."""
        pem = localhostFile(self.folder())
        told = await self.serve(
            factory := Meeting(MetConversation),
            f"ssl:0:privateKey={pem}:certKey={pem}:interface=127.0.0.1",
        )
        context = CertificateOptions().getContext()

        def shakeHands() -> Any:
            from OpenSSL.SSL import Connection as TLS

            sock = self.connect()
            sock.settimeout(None)
            tls = TLS(context, sock)
            tls.set_connect_state()
            tls.do_handshake()
            return tls

        tls = await self.talk(shakeHands)
        await factory.queue.get()
        self.listener.drain()
        self.assertEqual(await self.talk(tls.recv, 100), b"goodbye")
        self.assertEqual(len(told.opened), 1)
        tls.sock_shutdown(socket.SHUT_RDWR)
        tls.close()

    async def test_handshakeNotFinished(self) -> None:
        """A peer that is still in its TLS handshake has no conversation to finish."""
        factory = Meeting()
        told = await self.serve(TLSMemoryBIOFactory(CertificateOptions(), False, factory))
        with self.connect() as sock:
            await factory.queue.get()
            self.assertEqual(len(self.listener.connections), 1)
            self.assertEqual(told.opened, [])
            self.listener.drain()
            self.assertRaises(ConnectionResetError, await self.caught(sock))
        ending = await told.ending()
        self.assertEqual((ending.by, ending.how, ending.why), ("server", "reset", "handshake"))
        self.assertEqual(told.opened, [])

    async def test_conversationNotBegun(self) -> None:
        """A conversation that has not begun is not told to finish either."""
        factory = Meeting(Unmet)
        told = await self.serve(TLSMemoryBIOFactory(CertificateOptions(), False, factory))
        with self.connect():
            conversation = await factory.queue.get()
            self.listener.drain()
            ending = await told.ending()
        self.assertFalse(conversation.drained)
        self.assertEqual((ending.how, ending.why), ("reset", "handshake"))

    async def caught(self, sock: socket.socket) -> Any:
        """Read to the end in a thread; return what repeats how that went."""

        def repeat() -> None:
            if error is not None:
                raise error

        error = None
        try:
            await self.talk(readAll, sock)
        except OSError as e:
            error = e
        return repeat

    async def test_hookRaises(self) -> None:
        """A bug in one hook is logged once and ends that connection; the others drain."""
        told = await self.serve(factory := Meeting(FailsToDrain))
        bad = self.connect()
        await factory.queue.get()
        factory.kind = MetConversation
        good = [self.connect(), self.connect()]
        for _ in good:
            await factory.queue.get()
        self.listener.drain()
        for sock in good:
            self.assertEqual(await self.talk(readAll, sock), b"goodbye")
            sock.close()
        self.assertRaises(ConnectionResetError, await self.caught(bad))
        bad.close()
        await self.listener.whenEmpty()
        self.assertEqual(
            sorted((each.how, str(each.why)) for each in told.endings),
            [("fin", "None"), ("fin", "None"), ("reset", "error")],
        )
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    async def test_drainTwice(self) -> None:
        """To be asked again changes nothing."""
        told = await self.serve(factory := Meeting(MetConversation))
        with self.connect() as sock:
            await factory.queue.get()
            self.listener.drain()
            self.listener.drain()
            self.assertEqual(await self.talk(readAll, sock), b"goodbye")
        ending = await told.ending()
        self.assertEqual((ending.how, ending.why), ("fin", None))

    async def test_newcomersAreNotAsked(self) -> None:
        """Draining is for those who are there; who accepts no more must stop the port first."""
        await self.serve(ConversationFactory(Conversation, greeting=b"hello"))
        self.listener.drain()

        def client() -> bytes:
            with self.connect() as sock:
                return sock.recv(100)

        self.assertEqual(await self.talk(client), b"hello")


class AbortTests(Serving):
    """Everything ends at once."""

    async def test_everybody(self) -> None:
        """All are reset, and it is said how many they were."""
        told = await self.serve(factory := Meeting())
        clients = [self.connect() for _ in range(3)]
        for _ in clients:
            await factory.queue.get()
        self.assertEqual(self.listener.abort(), 3)
        for sock in clients:
            self.assertRaises(ConnectionResetError, await self.caught(sock))
            sock.close()
        await self.listener.whenEmpty()
        self.assertEqual([(each.by, each.how) for each in told.endings], [("server", "reset")] * 3)
        self.assertEqual(self.listener.abort(), 0)

    async def test_duringTheHandshake(self) -> None:
        """Those in a handshake too."""
        factory = Meeting()
        told = await self.serve(TLSMemoryBIOFactory(CertificateOptions(), False, factory))
        with self.connect():
            await factory.queue.get()
            self.assertEqual(self.listener.abort(), 1)
            ending = await told.ending()
        self.assertEqual((ending.by, ending.how, ending.why), ("server", "reset", "drain-timeout"))

    caught = DrainTests.caught
