"""Tests for `tcplab.reactor.eager`; Twisted's own suites run over it elsewhere."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from twisted.internet import threads
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import Logger, globalLogPublisher
from twisted.python import context, log
from twisted.trial.unittest import SynchronousTestCase

from tcplab.listener.events import Connection, Ending
from tcplab.listener.listener import Listener
from tcplab.observers import Observer, Observers
from tcplab.protocols import Conversation, ConversationFactory
from tcplab.reactor import eager


class InstallTests(SynchronousTestCase):
    """install() makes it the global reactor."""

    def setUp(self) -> None:
        self.installed: list[Any] = []
        self.patch(eager, "installReactor", self.installed.append)

    def test_known(self) -> None:
        """Twisted has all that it needs."""
        eager.install()
        self.assertIsInstance(self.installed[0], eager.EagerReactor)

    def test_unknown(self) -> None:
        """On another Twisted, the epoll reactor is installed, and one line says why."""
        events: list[Any] = []
        globalLogPublisher.addObserver(events.append)
        self.addCleanup(globalLogPublisher.removeObserver, events.append)
        self.patch(eager, "missing", lambda: ["Connection._gone"])
        eager.install()
        self.assertIs(type(self.installed[0]), EPollReactor)
        (warning,) = (each for each in events if "using its epoll reactor" in each["log_format"])
        self.assertEqual(warning["names"], "Connection._gone")


class Greets(Protocol):
    def connectionMade(self) -> None:
        self.transport.write(b"hello ")
        self.transport.write(b"there")

    def dataReceived(self, data: bytes) -> None:
        self.transport.loseConnection()


class Running(SynchronousTestCase):
    """An eager reactor, run to its end."""

    def setUp(self) -> None:
        self.reactor = eager.EagerReactor()
        self.addCleanup(self.reactor.disconnectAll)

    def run_(self, factory: Any, client: Callable[[], object], *observers: Observer) -> None:
        """Serve, and run a blocking client in a thread."""
        factory.noisy = False
        self.port = self.reactor.listenTCP(0, factory, interface="127.0.0.1")
        if observers:
            Listener("last", Observers(*observers)).addPort(self.port)
        self.reactor.callInThread(client)
        self.reactor.run(installSignalHandlers=False)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port.getHost().port), 10)

    def read(self) -> bytes:
        """Connect, and read once."""
        with self.connect() as sock:
            return sock.recv(100)


class Fails(Protocol):
    def connectionMade(self) -> None:
        self.transport.write(b"bye")
        self.transport.loseConnection()

    def connectionLost(self, reason: object = None) -> None:
        raise ZeroDivisionError


class RunTests(Running):
    def test_accepted(self) -> None:
        """
        All bytes written in makeConnection are one segment.

        A connection that fails while it is accepted does not close the port.
        """
        for protocol, said in ((Greets, b"hello there"), (Fails, b"bye")):
            seen: list[bytes] = []

            def client(seen: list[bytes] = seen) -> None:
                seen.extend(self.read() for _ in range(3))
                self.reactor.callFromThread(self.reactor.stop)

            self.setUp()
            self.run_(Factory.forProtocol(protocol), client)
            self.assertEqual(seen, [said] * 3)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 3)


class Logs(Protocol):
    """Log in every way during a read, and fail at the next one."""

    transport: Any

    def dataReceived(self, data: bytes) -> None:
        if data == b"fail":
            raise ZeroDivisionError
        log.msg("plain", seen="msg")
        log.err(ZeroDivisionError(), seen="err")
        context.call({"key": "value"}, log.msg, "nested", seen="nested")
        _newer.info("newer", seen="logger")
        reactor = self.transport.reactor
        threads.deferToThreadPool(
            reactor, reactor.getThreadPool(), log.msg, "thread", seen="thread"
        ).addCallback(self.back)

    def back(self, _: object) -> None:
        log.msg("elsewhere", seen="later")
        self.transport.write(b"logged")

    def connectionLost(self, reason: object = None) -> None:
        self.transport.reactor.stop()


_newer = Logger()


class LogContextTests(Running):
    """Log lines have the tag of the connection that caused them."""

    def test_systems(self) -> None:
        """In the read, in nested contexts, in a thread that the read started, in a traceback."""
        events: list[Any] = []
        log.addObserver(events.append)
        self.addCleanup(log.removeObserver, events.append)

        def client() -> None:
            with self.connect() as sock:
                sock.sendall(b"x")
                sock.recv(100)
                sock.sendall(b"fail")
                sock.recv(100)

        self.run_(Factory.forProtocol(Logs), client)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)
        systems = {each["seen"]: each["system"] for each in events if "seen" in each}
        failed = [each["system"] for each in events if each.get("isError") and "seen" not in each]
        name = "Logs,0,127.0.0.1"
        self.assertEqual({systems[seen] for seen in ("msg", "err", "nested", "thread")}, {name})
        self.assertNotEqual(systems["later"], name)
        self.assertEqual(failed, [name])


class LastWords(Conversation):
    """Write at the peer's FIN."""

    greeting = b"hello"
    words = b"bye"

    def readConnectionLost(self) -> None:
        self.write(self.words)
        self.hangUp()


class EndingTests(Running):
    """The reported end is right, though the kernel is asked only where necessary."""

    def ending(self, **settings: Any) -> Ending:
        """Return the ending of a connection whose peer has closed."""
        endings: list[Ending] = []

        class Closed(Observer):
            def connectionClosed(_, connection: Connection, ending: Ending) -> None:
                endings.append(ending)
                self.reactor.stop()

        self.run_(ConversationFactory(LastWords, **settings), self.read, Closed())
        [ending] = endings
        return ending

    def test_ends(self) -> None:
        """The FIN of the peer is the end; a peer that has closed resets what is sent further."""
        for words, how in ((b"", "fin"), (b"bye", "reset")):
            self.setUp()
            self.assertEqual(self.ending(words=words)[:3], ("peer", how, None))
