"""Tests for `tcplab.listener.listener`."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet import reactor
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
from tcplab.observers import Observers
from tcplab.protocols.conversation import Conversation
from tcplab.protocols.factory import ConversationFactory
from tcplab.testing import connected
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
            self.assertIs(listener.addPort(port), False)
            self.assertEqual(vars(port), before)


class RealPortTests(Serving):
    """Of the reactor's own ports, those of streams can be watched."""

    async def watched(self, listen: Any, *args: Any, **keywords: Any) -> bool:
        port = listen(*args, **keywords)
        self.addCleanup(port.stopListening)
        return Listener("test", Observers()).addPort(port)

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
            self.assertTrue(self.listener.addPort(port))
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
        self.listener.addPort(port)
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


class SuspendTests(Serving):
    """Who connects while accepting is suspended waits in the backlog."""

    def client(self) -> socket.socket:
        sock = self.connect()
        self.addCleanup(sock.close)
        return sock

    async def turns(self, number: int = 5) -> None:
        """Let the reactor go round."""
        for _ in range(number):
            done: Deferred[None] = Deferred()
            net.callLater(0, done.callback, None)
            await done

    async def test_anotherListenerTakesThePort(self) -> None:
        """A port has one listener: the earlier one lets go, and keeps its policies."""
        told = await self.serve(factory := Meeting())
        first, second = self.listener, Listener("second", Observers(told))
        (policy := Policy()).watch(first)
        second.addPort(self.port)
        self.assertEqual((first.policies, second.policies), ((policy,), ()))
        self.assertIs(Listener.of(self.port, "any", Observers()), second)
        second.suspend("full")
        first.suspend("x")
        first.resume("x")
        self.client()
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

    async def test_waitsAndIsServed(self) -> None:
        """Until accepting is resumed; who is connected goes on meanwhile."""
        told = await self.serve(factory := Meeting())
        here = self.client()
        await factory.queue.get()
        self.listener.suspend("full")
        self.assertTrue(self.listener.suspended)
        waiting = [self.client() for _ in range(3)]
        here.sendall(b"still here?")
        self.assertEqual(await self.talk(here.recv, 100), b"still here?")
        await self.turns()
        self.assertEqual(len(told.opened), 1)
        waiting[0].sendall(b"said while I waited")
        self.listener.resume("full")
        self.assertFalse(self.listener.suspended)
        for _ in waiting:
            await factory.queue.get()
        self.assertEqual(await self.talk(waiting[0].recv, 100), b"said while I waited")

    async def test_twoReasons(self) -> None:
        """Both must be gone; one that is given twice is one."""
        told = await self.serve(factory := Meeting())
        self.listener.suspend("full")
        self.listener.suspend("by hand")
        self.listener.suspend("by hand")
        self.client()
        self.listener.resume("by hand")
        self.assertTrue(self.listener.suspended)
        await self.turns()
        self.assertEqual(told.opened, [])
        self.listener.resume("never given")
        await self.turns()
        self.assertEqual(told.opened, [])
        self.listener.resume("full")
        await factory.queue.get()

    async def test_inMidBatch(self) -> None:
        """It holds at once: not one more of those who wait already is accepted."""
        listeners: list[Listener] = []

        class Few(Met):
            def connectionMade(self) -> None:
                super().connectionMade()
                (listener,) = listeners
                if len(listener.connections) == 2:
                    listener.suspend("full")

        told = await self.serve(factory := Meeting(Few))
        listeners.append(self.listener)
        clients = [self.client() for _ in range(5)]
        await factory.queue.get()
        await factory.queue.get()
        await self.turns()
        self.assertEqual(len(told.opened), 2)
        clients[0].close()
        await told.ending()
        self.listener.resume("full")
        await factory.queue.get()
        await self.turns()
        self.assertEqual((len(told.opened), len(self.listener.connections)), (3, 2))

    async def test_allPorts(self) -> None:
        """It holds for all ports of a listener."""
        told = await self.serve(factory := Meeting())
        path = self.unixPath()
        port = net.listenUNIX(path, factory)
        self.addCleanup(port.stopListening)
        self.listener.addPort(port)
        self.listener.suspend("full")
        self.client()
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(path)
            await self.turns()
            self.assertEqual(told.opened, [])
            self.listener.resume("full")
            await factory.queue.get()
            await factory.queue.get()

    async def test_portThatComesLater(self) -> None:
        """A port that is watched while suspended accepts nobody, and costs nothing."""
        told = await self.serve(factory := Meeting())
        self.listener.suspend("full")
        port = net.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.listener.addPort(port)
        self.assertNotIn(port, net.getReaders())
        with socket.create_connection(("127.0.0.1", port.getHost().port)):
            await self.turns()
            self.assertEqual(told.opened, [])
            self.listener.resume("full")
            await factory.queue.get()

    async def test_portThatIsClosed(self) -> None:
        """A closed port is not opened by resuming."""
        await self.serve(Meeting())
        self.listener.suspend("full")
        await self.port.stopListening()
        self.listener.resume("full")
        self.assertNotIn(self.port, net.getReaders())
        self.assertRaises(ConnectionRefusedError, self.connect)

    async def test_stoppedWhileSuspended(self) -> None:
        """Who waits in the backlog of a port that is closed is told so."""
        await self.serve(Meeting())
        self.listener.suspend("full")
        sock = self.client()
        await self.port.stopListening()
        self.assertRaises(ConnectionResetError, sock.recv, 1)


class Guard(Policy):
    """Refuse whom the test says, and write down what is asked and told."""

    def __init__(self, book: list[Any], goodbye: bytes | None = None) -> None:
        self.book = book
        self.goodbye = goodbye

    def admit(self, address: Any) -> bytes | None:
        self.book.append(("admit", address))
        return self.goodbye

    def connectionAccepted(self, transport: Any) -> None:
        self.book.append(("accepted", transport.established))

    def connectionOpened(self, transport: Any) -> None:
        self.book.append(("opened", transport.established))

    def connectionClosed(self, transport: Any) -> None:
        gone = transport not in transport.listener.connections
        self.book.append(("gone", gone))


class GuardTests(SynchronousTestCase):
    """Guards are asked for everyone, and told what becomes of them."""

    def setUp(self) -> None:
        self.listener = Listener("test", Observers())
        self.book: list[Any] = []

    def test_nobody(self) -> None:
        """Without a guard everyone may come in."""
        self.assertIs(self.listener.admit(("127.0.0.1", 1)), None)

    def test_allMustAgree(self) -> None:
        """Each is asked in turn; the first refusal stands, and whoever is behind is not asked."""
        for goodbye in (None, b"busy", b"never"):
            self.listener.addPolicy(Guard(self.book, goodbye))
        self.assertEqual(self.listener.admit("who"), b"busy")
        self.assertEqual(self.book, [("admit", "who")] * 2)

    def test_silently(self) -> None:
        """An empty goodbye is a refusal too."""
        self.listener.addPolicy(Guard(self.book, b""))
        self.assertEqual(self.listener.admit("who"), b"")

    def test_allOptional(self) -> None:
        """A guard has what it needs, and no more."""
        self.listener.addPolicy(Policy())
        self.assertIs(self.listener.admit("who"), None)
        peer = connected(Protocol())
        self.listener.connectionAccepted(peer.transport, None, established=True)
        self.listener.connectionClosed(peer.transport, Ending("peer", "fin", None, None, 0, 0, 0.0))

    def test_counted(self) -> None:
        """Each connection has the next number."""
        self.assertEqual([self.listener.nextNumber() for _ in range(3)], [1, 2, 3])

    def test_inAHandshake(self) -> None:
        """One who is in a handshake is accepted, and opened when that is through, once."""
        peer = connected(Protocol())
        transport = peer.transport
        transport.established = False
        self.listener.addPolicy(Guard(self.book))
        self.listener.connectionAccepted(transport, None, established=False)
        self.assertEqual(self.book, [("accepted", False)])
        self.assertEqual(transport.accepted, peer.clock.seconds())
        transport.connectionOpened()
        transport.connectionOpened()
        self.assertEqual(self.book, [("accepted", False), ("opened", True)])
        peer.finish()
        self.assertEqual(self.book[2:], [("gone", True)])

    def test_host(self) -> None:
        """Our address is asked for where it depends on the peer."""
        peer = connected(Protocol())
        self.listener.connectionAccepted(peer.transport, None, established=True)
        self.assertEqual(peer.transport.connection.host, peer.transport.getHost())
        self.listener.connectionAccepted(peer.transport, host := object(), established=True)
        self.assertIs(peer.transport.connection.host, host)


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
        """A peer that is still in its TLS handshake is left to finish that."""
        factory = Meeting()
        told = await self.serve(TLSMemoryBIOFactory(CertificateOptions(), False, factory))
        with self.connect():
            await factory.queue.get()
            self.listener.drain()
            self.assertEqual((len(self.listener.connections), told.opened), (1, []))
            self.assertEqual(self.listener.abort(), 1)
            ending = await told.ending()
        self.assertEqual((ending.by, ending.how, ending.why), ("server", "reset", "drain-timeout"))
        self.assertEqual(told.opened, [])

    async def test_conversationNotBegun(self) -> None:
        """A conversation that has not begun is told to finish when it has."""
        factory = Meeting(Unmet)
        told = await self.serve(TLSMemoryBIOFactory(CertificateOptions(), False, factory))
        with self.connect():
            conversation = await factory.queue.get()
            self.listener.drain()
            self.assertFalse(conversation.drained)
            self.listener.abort()
            await told.ending()
        self.assertFalse(conversation.drained)

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
