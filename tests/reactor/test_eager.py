"""Tests for `tcplab.reactor.eager`; Twisted's own suites run over it elsewhere."""

from __future__ import annotations

import socket
import sys
from typing import Any

from twisted.internet import threads
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.utils import getProcessOutputAndValue
from twisted.logger import Logger, globalLogPublisher
from twisted.python import context, log
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tcplab.listener.events import Connection, Ending
from tcplab.listener.listener import Listener
from tcplab.observers import Observer, Observers
from tcplab.protocols import Conversation, ConversationFactory
from tcplab.reactor import eager
from tests.support.tiers import processes


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

    greets: type[Protocol] = Greets

    def setUp(self) -> None:
        self.reactor = eager.EagerReactor()
        self.addCleanup(self.reactor.disconnectAll)

    def run_(self, client: Any) -> None:
        factory = Factory.forProtocol(self.greets)
        factory.noisy = False
        port = self.reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.sock = socket.socket()
        self.addCleanup(self.sock.close)
        self.sock.settimeout(10)
        self.sock.connect(("127.0.0.1", port.getHost().port))
        self.reactor.callInThread(client)
        self.reactor.run(installSignalHandlers=False)


class RunTests(Running):
    def test_greetingLeavesAtOnce(self) -> None:
        """All bytes written in makeConnection are one segment."""
        seen: list[bytes] = []

        def client() -> None:
            seen.append(self.sock.recv(100))
            self.reactor.callFromThread(self.reactor.stop)

        self.run_(client)
        self.assertEqual(seen, [b"hello there"])

    def test_portOutlivesItsConnections(self) -> None:
        """A connection that fails while it is accepted does not close the port."""

        class Fails(Protocol):
            def connectionMade(self) -> None:
                self.transport.write(b"bye")
                self.transport.loseConnection()

            def connectionLost(self, reason: object = None) -> None:
                raise ZeroDivisionError

        factory = Factory.forProtocol(Fails)
        factory.noisy = False
        port = self.reactor.listenTCP(0, factory, interface="127.0.0.1")
        heard: list[bytes] = []

        def client() -> None:
            for _ in range(3):
                with socket.create_connection(("127.0.0.1", port.getHost().port), 10) as sock:
                    heard.append(sock.recv(100))
            self.reactor.callFromThread(self.reactor.stop)

        self.reactor.callInThread(client)
        self.reactor.run(installSignalHandlers=False)
        self.assertEqual(heard, [b"bye"] * 3)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 3)


class Logs(Protocol):
    """Log in every way during a read."""

    def dataReceived(self, data: bytes) -> None:
        transport: Any = self.transport
        reactor = transport.reactor
        log.msg("plain", seen="msg")
        log.err(ZeroDivisionError(), seen="err")
        context.call({"key": "value"}, log.msg, "nested", seen="nested")
        _newer.info("newer", seen="logger")
        threads.deferToThreadPool(
            reactor, reactor.getThreadPool(), log.msg, "thread", seen="thread"
        ).addCallback(self.back)

    def back(self, _: object) -> None:
        log.msg("elsewhere", seen="later")
        self.transport.reactor.stop()  # type: ignore[union-attr]


_newer = Logger()


class LogContextTests(Running):
    """Log lines have the tag of the connection that caused them."""

    def test_systems(self) -> None:
        """In the read, in nested contexts, and in a thread that the read started."""
        self.patch(self, "greets", Logs)
        events: list[Any] = []
        log.addObserver(events.append)
        self.addCleanup(log.removeObserver, events.append)
        self.run_(lambda: self.sock.send(b"x"))
        self.flushLoggedErrors(ZeroDivisionError)
        systems = {each["seen"]: each["system"] for each in events if "seen" in each}
        name = "Logs,0,127.0.0.1"
        self.assertEqual({systems[seen] for seen in ("msg", "err", "nested", "thread")}, {name})
        self.assertNotEqual(systems["later"], name)

    def test_failure(self) -> None:
        """So has a traceback."""

        class Fails(Protocol):
            def dataReceived(self, data: bytes) -> None:
                raise ZeroDivisionError

        self.patch(self, "greets", Fails)
        events: list[Any] = []
        log.addObserver(events.append)
        self.addCleanup(log.removeObserver, events.append)

        def client() -> None:
            self.sock.send(b"x")
            self.assertEqual(self.sock.recv(100), b"")
            self.reactor.callFromThread(self.reactor.stop)

        self.run_(client)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        (failed,) = [each for each in events if each.get("isError")]
        self.assertEqual(failed["system"], "Fails,0,127.0.0.1")


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

        factory = ConversationFactory(LastWords, **settings)
        port = self.reactor.listenTCP(0, factory, interface="127.0.0.1")
        Listener("last", Observers(Closed())).addPort(port)

        def client() -> None:
            with socket.create_connection(("127.0.0.1", port.getHost().port), 10) as sock:
                sock.recv(100)

        self.reactor.callInThread(client)
        self.reactor.run(installSignalHandlers=False)
        [ending] = endings
        return ending

    def test_nothingSaid(self) -> None:
        """Without further bytes, the FIN of the peer is the end."""
        self.assertEqual(self.ending(words=b"")[:3], ("peer", "fin", None))

    def test_reset(self) -> None:
        """A peer that has closed answers further bytes by a reset."""
        self.assertEqual(self.ending()[:3], ("peer", "reset", None))


@processes
class PluginTests(TestCase):
    """Twisted's programs list it."""

    async def run_(self, *command: str) -> str:
        out, err, code = await getProcessOutputAndValue(
            sys.executable, ["-m", *command], env={"PATH": "/usr/bin:/bin"}
        )
        self.assertEqual((err, code), (b"", 0))
        return out.decode()

    async def test_help(self) -> None:
        """trial offers it."""
        self.assertIn("eager", await self.run_("twisted.trial", "--help-reactors"))
