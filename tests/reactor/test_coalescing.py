"""Tests for `tcplab.reactor.coalescing`."""

from __future__ import annotations

import contextlib
import socket
from typing import Any

from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.main import CONNECTION_DONE
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import PrivateCertificate
from twisted.python import context, log
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tcplab.reactor.coalescing import CoalescingTransport
from tcplab.reactor.sendbuffer import CORKED, CORKED_MANY, UNCORKED
from tcplab.testing import Peer, connected
from tests.support.certificates import localhostPEM, overTLS
from tests.support.socket_server import Serving, readAll


class ReadSizeTests(SynchronousTestCase):
    """The read size follows the traffic."""

    def setUp(self) -> None:
        self.heard: list[bytes] = []
        protocol = Protocol()
        protocol.dataReceived = self.heard.append  # type: ignore[method-assign]
        self.peer = connected(protocol)
        self.sizes: list[int] = []
        original = self.peer.transport.socket.recv

        def recv(size: int) -> bytes:
            self.sizes.append(size)
            return original(size)  # type: ignore[no-any-return]

        self.peer.transport.socket.recv = recv

    def test_grows(self) -> None:
        """It grows to the limit while reads are full, and shrinks when they are not."""
        self.peer.write(b"x" * 2**20)
        self.assertEqual(self.sizes[0], 4096)
        self.assertEqual(max(self.sizes), self.peer.transport.readLimit)
        for _ in range(10):
            self.peer.write(b"x")
        self.assertLess(self.sizes[-1], 2 * 4096 + 1)

    def test_congested(self) -> None:
        """It is smaller while answers are unsent."""
        self.peer.write(b"x" * 2**20)
        self.peer.reading = False
        self.peer.transport.cork()
        self.peer.transport.write(b"y" * 2**20)
        self.peer.transport.uncork()
        self.peer.resume()
        self.assertEqual(self.peer.value(), b"y" * 2**20)
        del self.sizes[:]
        self.peer.write(b"x" * 2**20)
        self.assertEqual(self.sizes[0], 16384)

    def test_smallMessages(self) -> None:
        """It is smaller after several small messages; a longer one still is delivered as one."""
        for _ in range(10):
            self.peer.write(b"x" * 64)
        self.assertEqual(self.sizes, [4096] * 9 + [479])
        del self.sizes[:]
        for size in (479, 480, 2000, 4096):
            self.heard.clear()
            self.peer.write(b"y" * size)
            self.assertEqual(self.heard, [b"y" * size])
        self.assertEqual(self.sizes[:3], [479, 4096 - 479, 4096])


@implementer(IHalfCloseableProtocol)
class Script(Protocol):
    """
    Take steps when data is received.

    :param last: the steps at the peer's FIN; ``None``: close the connection.
    """

    def __init__(self, *steps: Any, last: Any = None) -> None:
        self.steps = steps
        self.last = (lose,) if last is None else last
        self.lost = False

    def dataReceived(self, data: bytes) -> None:
        for step in self.steps:
            step(self.transport)

    def readConnectionLost(self) -> None:
        for step in self.last:
            step(self.transport)

    def writeConnectionLost(self) -> None: ...

    def connectionLost(self, reason: Any = None) -> None:
        self.lost = True


def write(data: bytes) -> Any:
    return lambda transport: transport.write(data)


def lose(transport: Any) -> None:
    transport.loseConnection()


def fail(transport: Any) -> None:
    raise ZeroDivisionError


def fin(transport: Any) -> None:
    """Report the peer's FIN within a read, as when the protocol turns the reactor."""
    transport.readConnectionLost(Failure(CONNECTION_DONE))


def nested(*steps: Any) -> Any:
    """Read within a read, with other steps."""

    def turn(transport: Any) -> None:
        transport.protocol.steps = steps
        transport.socket.receiveBuffer += b"y"
        transport.doRead()

    return turn


class CorkTests(SynchronousTestCase):
    """Bytes written during a read leave in one send when it is over."""

    def watched(self, protocol: Protocol) -> tuple[Peer, list[bytes]]:
        """Connect, and list what is handed to the kernel."""
        peer = connected(protocol)
        sent: list[bytes] = []
        original = peer.transport.socket.send

        def send(data: bytes) -> int:
            sent.append(bytes(data))
            return original(data)  # type: ignore[no-any-return]

        peer.transport.socket.send = send
        return peer, sent

    def test_oneSend(self) -> None:
        """All writes are one send, whatever is done besides; so are those at the peer's FIN."""
        for steps, expected, isConnected in (
            ((write(b"one "), write(b"two "), write(b"three")), b"one two three", True),
            ((lambda t: t.writeSequence([b"a", b"b"]), write(b"c")), b"abc", True),
            ((write(b"before "), lose), b"before ", False),
            ((write(b"before"), lambda t: t.loseWriteConnection()), b"before", True),
            ((write(b"1"), lambda t: t.doRead(), write(b"2")), b"12", True),  # nothing to read
        ):
            peer, sent = self.watched(Script(*steps))
            peer.write(b"x")
            self.assertEqual((sent, peer.value()), ([expected], expected))
            self.assertEqual((peer.connected, peer.wasReset), (isConnected, False))
            self.assertEqual(peer.clock.writers, set())
            self.assertEqual((peer.transport.received, peer.transport.sent), (1, len(expected)))
            peer.finish()
        peer, sent = self.watched(Script(last=(write(b"last "), write(b"words"), lose)))
        peer.finish()
        self.assertEqual((sent, peer.connected), ([b"last words"], False))

    def test_order(self) -> None:
        """A read or the peer's FIN within a read, and what is written before, in and after it."""
        for steps, last, expected in (
            ((write(b"1"), nested(write(b"2"), write(b"3")), write(b"4")), (), b"1234"),
            ((write(b"1"), nested(lose), write(b"lost")), (), b"1"),
            ((write(b"held"), fin), (), b"held"),
            ((write(b"he"), write(b"ld"), fin), (), b"held"),
            ((fin, write(b"held")), (), b"held"),
            ((write(b"he"), fin, write(b"ld")), (), b"held"),
            ((write(b"first "), fin), (write(b"second"),), b"first second"),
        ):
            peer = connected(Script(*steps, last=last))
            peer.write(b"x")
            self.assertEqual(peer.value(), expected)
            if peer.connected:
                self.assertEqual((peer.transport._corked, peer.transport._cork), (UNCORKED, CORKED))

    def test_dropped(self) -> None:
        """An exception, an abort or the loss of the connection drops the bytes written."""
        gone = lambda t: t.connectionLost(Failure(CONNECTION_DONE))  # noqa: E731
        for steps, last, wasReset in (
            ((write(b"half"), fail), (), False),
            ((write(b"half"), lambda t: t.abortConnection()), (), True),
            ((write(b"1"), gone, write(b"2")), (), False),
            ((fin,), (write(b"half"), fail), False),
        ):
            peer = connected(Script(*steps, last=last))
            peer.write(b"x")
            self.assertEqual((peer.value(), peer.connected), (b"", False))
            self.assertEqual((peer.wasReset, peer.clock.writers), (wasReset, set()))
            self.assertEqual(peer.transport._corked, UNCORKED)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)

    def test_notBytes(self) -> None:
        """Anything but bytes is refused as by Twisted."""
        connected(Script(write("text"))).write(b"x")  # type: ignore[arg-type]
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)

    def test_protocolSwap(self) -> None:
        """The protocol may be another for the next read."""
        other = Script(write(b"other"))
        peer = connected(Script(lambda t: setattr(t, "protocol", other)))
        other.makeConnection(peer.transport)
        peer.write(b"x")
        peer.write(b"y")
        self.assertEqual(peer.value(), b"other")

    def test_resetMeanwhile(self) -> None:
        """A send that fails ends the connection in the ordinary way."""
        peer = connected(Script(lambda t: setattr(t.socket, "error", 104), write(b"late")))
        peer.write(b"x")
        self.assertFalse(peer.connected)
        self.assertTrue(peer.protocol.lost)

    def test_manyPieces(self) -> None:
        """More than 500 unsent pieces are joined; none is lost."""

        def many(transport: Any) -> None:
            for number in range(2000):
                transport.write(b"%04d" % number)
            self.assertLess(len(transport._tempDataBuffer), 502)
            self.assertEqual(transport._corked, CORKED_MANY)

        peer = connected(Script(many))
        peer.write(b"x")
        self.assertEqual(peer.value(), b"".join(b"%04d" % number for number in range(2000)))


class Upgrades(Protocol):
    """Go over to TLS at the first word, with a producer."""

    transport: Any

    def dataReceived(self, data: bytes) -> None:
        if not self.transport.TLS:
            self.transport.write(b"go ")
            self.transport.write(b"ahead\n")
            self.transport.registerProducer(self, True)
            self.transport.startTLS(PrivateCertificate.loadPEM(localhostPEM()).options())
            self.transport.write(b"secret ")
            self.transport.writeSequence([b"of ", b"ours"])
        else:
            self.transport.write(b" and " + data)
            self.transport.unregisterProducer()
            self.transport.loseConnection()

    def pauseProducing(self) -> None: ...

    def resumeProducing(self) -> None: ...

    def stopProducing(self) -> None: ...


class StartTLSTests(Serving):
    """TLS may begin in the middle of a read."""

    async def test_order(self) -> None:
        """What was written before leaves first, in plain; all behind it is encrypted."""
        factory = Factory.forProtocol(Upgrades)
        factory.noisy = False
        told = await self.serve(factory)

        def client() -> tuple[bytes, bytes]:
            plain = self.connect()
            plain.sendall(b"STARTTLS\n")
            said = plain.recv(9, socket.MSG_WAITALL)
            with overTLS(plain) as tls:
                tls.sendall(b"yours")
                return said, readAll(tls)

        said, secret = await self.talk(client)
        self.assertEqual((said, secret), (b"go ahead\n", b"secret of ours and yours"))
        ending = await told.ending()
        self.assertEqual((ending.how, ending.why), ("fin", None))


class LogContextTests(SynchronousTestCase):
    """A transport is its own log context."""

    def setUp(self) -> None:
        self.events: list[Any] = []
        log.addObserver(self.events.append)
        self.addCleanup(log.removeObserver, self.events.append)
        self.transport = connected(Protocol()).transport

    def test_system(self) -> None:
        """Whatever is logged has its name: in nested contexts, errors, and after its end, too."""

        def inner() -> None:
            self.assertEqual((context.get("key"), context.get("unknown")), ("value", None))
            log.msg("within")

        mine: dict[Any, Any] = {"system": "mine"}
        name, value = "memory,1,127.0.0.1", {"key": "value"}
        for call, system, isError in (
            ((self.transport, log.msg, "heard"), name, 0),
            ((self.transport, log.err, ZeroDivisionError(), "failed"), name, 1),
            ((value, context.call, self.transport, inner), name, 0),
            ((self.transport, context.call, value, inner), name, 0),
            ((self.transport, log.callWithContext, mine, log.msg, "refined"), "mine", 0),
            ((self.transport, self.transport.abortConnection), "mine", 0),
            ((self.transport, log.msg, "late"), name, 0),
        ):
            context.call(*call)
            self.transport.reactor.advance(0)
            self.assertEqual(self.events[-1]["system"], system)
            self.assertEqual(self.events[-1]["isError"], isError)
        self.flushLoggedErrors(ZeroDivisionError)

    def test_brokenPrefix(self) -> None:
        """A prefix that fails is told once for what is logged, and what is logged is."""

        def broken() -> str:
            self.asked += 1
            if self.asked > 3:
                raise SystemExit  # or it would go on and on
            raise ZeroDivisionError

        self.asked = 0
        self.transport.logPrefix = broken
        with contextlib.suppress(SystemExit):
            context.call(self.transport, log.msg, "heard", heard=True)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        (heard,) = [each for each in self.events if "heard" in each]
        self.assertEqual(heard["system"], "(buggy logPrefix method)")

    def test_otherKeys(self) -> None:
        """It is the log's only."""
        self.assertRaises(KeyError, self.transport.__getitem__, "anything")

    def test_kinds(self) -> None:
        """Every class of such transports is known, also a user's own."""

        class Mine(type(self.transport)):  # type: ignore[misc]
            pass

        self.addCleanup(CoalescingTransport.subclasses.discard, Mine)
        self.assertIn(Mine, CoalescingTransport.subclasses)
