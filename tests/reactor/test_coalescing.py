"""Tests for `tcplab.reactor.coalescing`."""

from __future__ import annotations

import contextlib
import ssl
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
from tests.support.certificates import localhostPEM
from tests.support.socket_server import Serving, readAll


class ReadSizeTests(SynchronousTestCase):
    """The read size follows what comes."""

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
        """It grows while reads are full, up to the limit, and shrinks when they are not."""
        self.peer.write(b"x" * 2**20)
        self.assertEqual(self.sizes[0], 4096)
        self.assertEqual(max(self.sizes), self.peer.transport.readLimit)
        for _ in range(10):
            self.peer.write(b"x")
        self.assertLess(self.sizes[-1], 2 * 4096 + 1)

    def test_slow(self) -> None:
        """Behind a peer that did not read it begins small again: all may have to be held anew."""
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

    def test_small(self) -> None:
        """Behind some small messages it is what the interpreter has in its pools."""
        for _ in range(10):
            self.peer.write(b"x" * 64)
        self.assertEqual(self.sizes, [4096] * 9 + [479])

    def test_oneMessage(self) -> None:
        """What would have been one message before is one still, and the next ones are again."""
        for _ in range(10):
            self.peer.write(b"x" * 64)
        del self.sizes[:]
        for size in (479, 480, 2000, 4096):
            self.heard.clear()
            self.peer.write(b"y" * size)
            self.assertEqual(b"".join(self.heard), b"y" * size)
            self.assertEqual(len(self.heard), 1)
        self.assertEqual(self.sizes[:3], [479, 4096 - 479, 4096])


class Script(Protocol):
    """Do what the test says when data comes."""

    def __init__(self, *steps: Any) -> None:
        self.steps = steps
        self.lost = False

    def dataReceived(self, data: bytes) -> None:
        for step in self.steps:
            step(self.transport)

    def connectionLost(self, reason: Any = None) -> None:
        self.lost = True


def write(data: bytes) -> Any:
    return lambda transport: transport.write(data)


class CorkTests(SynchronousTestCase):
    """What is written while bytes are read leaves in one send when they have been read."""

    def sends(self, peer: Peer) -> list[bytes]:
        """Watch what is handed to the kernel."""
        sent: list[bytes] = []
        original = peer.transport.socket.send

        def send(data: bytes) -> int:
            sent.append(bytes(data))
            return original(data)  # type: ignore[no-any-return]

        peer.transport.socket.send = send
        return sent

    def test_oneSend(self) -> None:
        """Several writes are one send, and the reactor is not asked."""
        peer = connected(Script(write(b"one "), write(b"two "), write(b"three")))
        sent = self.sends(peer)
        peer.write(b"x")
        self.assertEqual(sent, [b"one two three"])
        self.assertEqual(peer.clock.writers, set())
        self.assertEqual((peer.transport.received, peer.transport.sent), (1, 13))

    def test_sequence(self) -> None:
        """writeSequence is corked too."""
        peer = connected(Script(lambda t: t.writeSequence([b"a", b"b"]), write(b"c")))
        sent = self.sends(peer)
        peer.write(b"x")
        self.assertEqual(sent, [b"abc"])

    def test_leftOver(self) -> None:
        """What the kernel does not take waits in order."""
        big = bytes(range(256)) * 1000
        peer = connected(Script(write(big)))
        peer.reading = False
        peer.write(b"x")
        peer.write(b"y")
        self.assertEqual(peer.clock.writers, {peer.transport})
        peer.resume()
        self.assertEqual(peer.value(), big * 2)

    def test_notBytes(self) -> None:
        """Anything but bytes is refused as ever."""
        peer = connected(Script(lambda t: t.write("text")))
        peer.write(b"x")
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)

    def test_exception(self) -> None:
        """What an exception interrupts is not sent."""

        def fail(transport: Any) -> None:
            raise ZeroDivisionError

        peer = connected(Script(write(b"half"), fail))
        peer.write(b"x")
        self.assertEqual((peer.value(), peer.connected), (b"", False))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_abort(self) -> None:
        """What an abort interrupts is not sent."""
        peer = connected(Script(write(b"half"), lambda t: t.abortConnection()))
        peer.write(b"x")
        self.assertEqual((peer.value(), peer.wasReset), (b"", True))

    def test_loseConnection(self) -> None:
        """What was written before loseConnection is sent."""
        peer = connected(Script(write(b"before "), lambda t: t.loseConnection()))
        peer.write(b"x")
        self.assertEqual((peer.value(), peer.connected), (b"before ", False))
        self.assertFalse(peer.wasReset)

    def test_loseWriteConnection(self) -> None:
        """A half-close comes behind what was written."""
        peer = connected(Script(write(b"before"), lambda t: t.loseWriteConnection()))
        peer.write(b"x")
        self.assertEqual((peer.value(), peer.ended, peer.connected), (b"before", True, True))
        peer.finish()

    def test_protocolSwap(self) -> None:
        """The protocol may be another for the next read."""
        other = Script(write(b"other"))
        peer = connected(Script(lambda t: setattr(t, "protocol", other)))
        other.makeConnection(peer.transport)
        peer.write(b"x")
        peer.write(b"y")
        self.assertEqual(peer.value(), b"other")

    def test_pushProducer(self) -> None:
        """A producer is paused when much is written at once, and resumed when it has left."""

        class Producer:
            told: list[str] = []

            def pauseProducing(self) -> None:
                self.told.append("pause")

            def resumeProducing(self) -> None:
                self.told.append("resume")

            def stopProducing(self) -> None:
                self.told.append("stop")

        peer = connected(Script(write(b"x" * 70_000)))
        producer = Producer()
        peer.transport.registerProducer(producer, True)
        peer.write(b"x")
        self.assertEqual(producer.told, ["pause", "resume"])
        self.assertEqual(len(peer.value()), 70_000)

    def test_resetMeanwhile(self) -> None:
        """A send that fails ends the connection by the ordinary way."""
        peer = connected(Script(lambda t: setattr(t.socket, "error", 104), write(b"late")))
        peer.write(b"x")
        self.assertFalse(peer.connected)
        self.assertTrue(peer.protocol.lost)


@implementer(IHalfCloseableProtocol)
class Halves(Script):
    """Do what the test says when the peer finishes, too."""

    def __init__(self, *steps: Any, last: Any = ()) -> None:
        super().__init__(*steps)
        self.last = last

    def readConnectionLost(self) -> None:
        for step in self.last:
            step(self.transport)

    def writeConnectionLost(self) -> None: ...


def fin(transport: Any) -> None:
    """Let the peer's end be heard while something else is, as when the reactor is turned."""
    transport.readConnectionLost(Failure(CONNECTION_DONE))


class LastReadTests(SynchronousTestCase):
    """The peer's end is heard as data is."""

    def test_oneSend(self) -> None:
        """What is written then leaves in one send, before the end that follows it."""
        peer = connected(
            Halves(last=(write(b"last "), write(b"words"), lambda t: t.loseConnection()))
        )
        sent = CorkTests.sends(self, peer)  # type: ignore[arg-type]
        peer.finish()
        self.assertEqual(sent, [b"last words"])
        self.assertEqual((peer.value(), peer.connected), (b"last words", False))

    def test_fails(self) -> None:
        """What an exception interrupts is not sent, and the cork is drawn."""

        def fail(transport: Any) -> None:
            raise ZeroDivisionError

        peer = connected(Halves(last=(write(b"half"), fail)))
        peer.finish()
        self.assertEqual((peer.value(), peer.connected), (b"", False))
        self.assertEqual(peer.transport._corked, UNCORKED)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_heardWhileReading(self) -> None:
        """What was written before it was heard, in the same read, leaves."""
        for steps in (
            (write(b"held"), fin),
            (write(b"he"), write(b"ld"), fin),
            (fin, write(b"held")),
            (write(b"he"), fin, write(b"ld")),
        ):
            peer = connected(Halves(*steps))
            peer.write(b"x")
            self.assertEqual(peer.value(), b"held")

    def test_answeredWhileReading(self) -> None:
        """What is answered to it comes behind what was written before."""
        peer = connected(Halves(write(b"first "), fin, last=(write(b"second"),)))
        peer.write(b"x")
        self.assertEqual(peer.value(), b"first second")


class NestedReadTests(SynchronousTestCase):
    """A protocol may be read while it is read."""

    def nested(self, *steps: Any) -> Any:
        def turn(transport: Any) -> None:
            transport.protocol.steps = steps
            transport.socket.coming += b"y"
            transport.doRead()

        return turn

    def test_order(self) -> None:
        """What the outer read wrote first leaves first, what it writes later last."""
        peer = connected(Script(write(b"1"), self.nested(write(b"2"), write(b"3")), write(b"4")))
        peer.write(b"x")
        self.assertEqual(peer.value(), b"1234")
        self.assertEqual((peer.transport._corked, peer.transport._cork), (UNCORKED, CORKED))

    def test_nothingThere(self) -> None:
        """If nothing is there to be read, all is as before."""
        peer = connected(Script(write(b"1"), lambda t: t.doRead(), write(b"2")))
        sent = CorkTests.sends(self, peer)  # type: ignore[arg-type]
        peer.write(b"x")
        self.assertEqual(sent, [b"12"])

    def test_innerEnds(self) -> None:
        """The inner read may end the connection; the outer one writes to nobody."""
        peer = connected(
            Script(write(b"1"), self.nested(lambda t: t.loseConnection()), write(b"lost"))
        )
        peer.write(b"x")
        self.assertEqual((peer.value(), peer.connected), (b"1", False))

    def test_lostWhileReading(self) -> None:
        """So may the outer one, itself; what was written is lost with it, as in Twisted."""
        lose = lambda t: t.connectionLost(Failure(CONNECTION_DONE))  # noqa: E731
        peer = connected(Script(write(b"1"), lose, write(b"2")))
        peer.write(b"x")
        self.assertEqual((peer.value(), peer.connected), (b"", False))
        self.assertEqual(peer.clock.writers, set())


class UpgradesOnce(Protocol):
    """Go over to TLS at the first word."""

    def dataReceived(self, data: bytes) -> None:
        transport: Any = self.transport
        if not transport.TLS:
            transport.write(b"go ")
            transport.write(b"ahead\n")
            transport.startTLS(PrivateCertificate.loadPEM(localhostPEM()).options())
            transport.write(b"secret ")
            transport.writeSequence([b"of ", b"ours"])
        else:
            transport.write(b" and " + data)
            transport.loseConnection()


class Upgrades(Factory):
    noisy = False
    protocol = UpgradesOnce


class StartTLSTests(Serving):
    """TLS may begin in the middle of a read."""

    async def test_order(self) -> None:
        """What was written before leaves first, in plain; all behind it is encrypted."""
        told = await self.serve(Upgrades())

        def client() -> tuple[bytes, bytes]:
            plain = self.connect()
            plain.sendall(b"STARTTLS\n")
            said = b""
            while not said.endswith(b"\n"):
                said += plain.recv(1)
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            with context.wrap_socket(plain) as tls:
                tls.sendall(b"yours")
                return said, readAll(tls)

        said, secret = await self.talk(client)
        self.assertEqual((said, secret), (b"go ahead\n", b"secret of ours and yours"))
        ending = await told.ending()
        self.assertEqual((ending.how, ending.why), ("fin", None))


class ManyPiecesTests(SynchronousTestCase):
    """Many small pieces weigh no more than their bytes."""

    def test_joined(self) -> None:
        """What waits in more than 500 pieces is made one; none is lost."""

        def many(transport: Any) -> None:
            for number in range(2000):
                transport.write(b"%04d" % number)
            self.assertLess(len(transport._tempDataBuffer), 502)
            self.assertEqual(transport._corked, CORKED_MANY)

        peer = connected(Script(many))
        peer.write(b"x")
        self.assertEqual(peer.value(), b"".join(b"%04d" % number for number in range(2000)))


class LogContextTests(SynchronousTestCase):
    """A transport is the log's context of what happens on it."""

    def setUp(self) -> None:
        self.events: list[Any] = []
        log.addObserver(self.events.append)
        self.addCleanup(log.removeObserver, self.events.append)
        self.transport = connected(Protocol()).transport

    def test_system(self) -> None:
        """What is logged stands under its name, and is no error unless it is one."""
        context.call(self.transport, log.msg, "heard")
        self.assertEqual(self.events[-1]["system"], "Protocol,1,127.0.0.1")
        self.assertEqual(self.events[-1]["isError"], 0)
        context.call(self.transport, log.err, ZeroDivisionError(), "failed")
        self.assertEqual(self.events[-1]["system"], "Protocol,1,127.0.0.1")
        self.assertEqual(self.events[-1]["isError"], 1)
        self.flushLoggedErrors(ZeroDivisionError)

    def test_nested(self) -> None:
        """Contexts may lie in each other; what it does not know it does not hide."""

        def inner() -> None:
            self.assertEqual(context.get("key"), "value")
            self.assertIs(context.get("unknown"), None)
            log.msg("within")

        context.call({"key": "value"}, context.call, self.transport, inner)
        self.assertEqual(self.events[-1]["system"], "Protocol,1,127.0.0.1")
        context.call(self.transport, context.call, {"key": "value"}, inner)
        self.assertEqual(self.events[-1]["system"], "Protocol,1,127.0.0.1")

    def test_refined(self) -> None:
        """A part of the log's context may be put over it."""
        context.call(self.transport, log.callWithContext, {"system": "mine"}, log.msg, "refined")
        self.assertEqual(self.events[-1]["system"], "mine")
        context.call(self.transport, log.msg, "afterwards")
        self.assertEqual(self.events[-1]["system"], "Protocol,1,127.0.0.1")

    def test_afterTheEnd(self) -> None:
        """It stands for itself when it is over, too: in a thread, say."""
        self.transport.abortConnection()
        self.transport.reactor.advance(0)
        context.call(self.transport, log.msg, "late")
        self.assertEqual(self.events[-1]["system"], "Protocol,1,127.0.0.1")

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
