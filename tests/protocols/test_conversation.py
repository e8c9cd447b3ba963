"""Tests for `tcplab.protocols.conversation`."""

from __future__ import annotations

from asyncio import CancelledError
from typing import Any

from twisted.internet.protocol import Factory
from twisted.internet.testing import StringTransport
from twisted.protocols.policies import WrappingFactory
from twisted.trial.unittest import SynchronousTestCase

from tcplab.protocols.conversation import Conversation
from tcplab.protocols.dialogue import Dialogue
from tcplab.protocols.echo import Echo
from tcplab.protocols.factory import ConversationFactory
from tcplab.testing import Peer, connected
from tcplab.wire.framing import CRLF, FramingError, Int32, Lines, Netstrings, Stream
from tests.support.conversations import LineRecorder, Recorder, Shout, ending


class Nets(Recorder):
    framing = Netstrings


class FailureTests(SynchronousTestCase):
    """An exception in a hook is logged once and ends that connection."""

    def assertFailed(
        self, peer: Peer, error: type[BaseException] = ZeroDivisionError, how: str = "reset"
    ) -> None:
        self.assertEqual(len(self.flushLoggedErrors(error)), 1)
        self.assertFalse(peer.connected)
        self.assertEqual(ending(peer), (how, "error"))
        self.assertEqual(peer.clock.getDelayedCalls(), [])

    def test_sysExit(self) -> None:
        """It ends the connection as any exception does; the server goes on."""
        for error in (SystemExit, CancelledError):

            def leave(*_: object, error: type[BaseException] = error) -> None:
                raise error

            for hook in ("connectionMade", "messageReceived", "readConnectionLost"):
                peer = connected(type("Leaves", (Conversation,), {hook: leave}))
                peer.write(b"one\n")
                peer.finish()
                self.assertFailed(peer, error)

    def test_hooks(self) -> None:
        """An exception of a framing counts as a hook's."""

        def fail(*_: object) -> None:
            raise ZeroDivisionError

        odd = type("Odd", (Lines,), {"next": fail})
        for hook, framing, how in (
            ("connectionMade", Lines, "reset"),
            ("messageReceived", Lines, "reset"),
            ("messageReceived", Conversation.framing, "reset"),
            ("readConnectionLost", Lines, "reset"),
            ("readConnectionLost", Conversation.framing, "reset"),
            ("connectionLost", Conversation.framing, "fin"),
            ("no hook", odd, "reset"),
        ):
            peer = connected(type("Bad", (Conversation,), {hook: fail, "framing": framing}))
            for message in (b"one\ntwo\n", b"three"):
                peer.write(message)
            peer.finish()
            self.assertFailed(peer, how=how)

    def test_coroutineHook(self) -> None:
        """A hook that is a coroutine would never run: the class is refused."""
        with self.assertRaisesRegex(TypeError, r"Wrong.messageReceived .*use Dialogue"):

            class Wrong(Conversation):
                async def messageReceived(self, message: bytes) -> None:  # type: ignore[override]
                    pass

    def test_answerThatCannotBeFramed(self) -> None:
        """It is the hook's failure, logged with its traceback, and not the peer's."""

        class TwoLines(Conversation):
            framing = Lines

            def messageReceived(self, message: bytes) -> None:
                self.send(b"one\ntwo")

        class Asks(Dialogue):
            framing = Lines

            async def converse(self) -> None:
                await self.receive()
                self.send(b"one\ntwo")

        for kind, said, finish in (
            (TwoLines, b"hello\nand more\n", False),
            (TwoLines, b"the last line", True),
            (Asks, b"hello\n", False),
        ):
            peer = connected(kind())
            peer.write(said)
            if finish:
                peer.finish()
            self.assertFailed(peer, FramingError)

    def test_invalidInput(self) -> None:
        """Input that is no message, or no whole one, closes gracefully, without a traceback."""
        for kind, said, received in (
            (Nets, b"3:abc,nonsense", [b"abc"]),
            (Nets, b"5:ab", []),
            (LineRecorder, b"x" * 200_000, []),
        ):
            recorder: Any = kind()
            peer = connected(recorder)
            peer.write(said)
            peer.finish()
            self.assertEqual(recorder.events, ["made", *received, "lost"])
            self.assertEqual((peer.ended, ending(peer)), (True, ("fin", "error")))


class FastPathTests(SynchronousTestCase):
    """Bytes take the fast path only as long as nothing else is asked for."""

    def test_anotherFraming(self) -> None:
        """Another framing applies to what is sent and received from then on."""

        class Turning(Recorder):
            def messageReceived(self, message: bytes) -> None:
                super().messageReceived(message)
                self.send(message.upper())
                self.framing = Lines()

        peer = connected(Turning())
        peer.write(b"raw")
        peer.write(b"one\ntw")
        self.assertEqual(peer.protocol.events, ["made", b"raw", b"one"])
        self.assertEqual(peer.value(), b"RAWONE\n")

    def test_congested(self) -> None:
        """Input while answers wait keeps its order; afterwards the path is fast again."""
        peer = connected(Echo())
        peer.window, peer.reading = 10, False
        said = [b"%04d" % number * 1000 for number in range(100)]
        for each in said:
            peer.write(each)
        self.assertIsNone(peer.protocol._fastPath)
        peer.resume()
        self.assertEqual(peer.value(), b"".join(said))
        self.assertIs(peer.protocol._fastPath, peer.protocol.framing)

    def test_dataHook(self) -> None:
        """A hook decides whether input is taken, until there is none."""
        peer = connected(Echo())
        answers = [False, True]
        peer.protocol.setDataHook(answers.pop)
        peer.write(b"yes")
        peer.write(b"no")
        peer.protocol.setDataHook(None)
        peer.write(b"again")
        self.assertEqual((peer.value(), answers), (b"yesagain", []))


class ForeignTests(SynchronousTestCase):
    """A Conversation needs neither our factory nor our transport."""

    def test_plainFactory(self) -> None:
        """Twisted's plain factory builds one that works."""
        peer = connected(Factory.forProtocol(Shout))
        peer.finish(b"hi\n")
        self.assertEqual(peer.value(), b"say something\nHI\n")
        self.assertFalse(peer.connected)

    def test_stringTransport(self) -> None:
        """Twisted's own transport for tests will do; it has no observers and no log prefix."""
        transport = StringTransport()
        shout = Shout()
        shout.makeConnection(transport)
        shout.report(b"for no observer")
        shout.dataReceived(b"hi\n")
        self.assertEqual(transport.value(), b"say something\nHI\n")
        shout.dataReceived(b"x" * 70_000)
        self.assertTrue(transport.disconnecting)

    def test_insideWrapper(self) -> None:
        """Inside a wrapper of Twisted's policies it closes gracefully too."""
        factory = WrappingFactory(ConversationFactory(Shout))
        factory.noisy = False
        peer = connected(factory)
        peer.write(b"hi\n")
        self.assertEqual(peer.value(), b"say something\nHI\n")
        peer.protocol.wrappedProtocol.hangUp()
        self.assertTrue(peer.ended)
        peer.finish()
        self.assertFalse(peer.connected or peer.wasReset)


class HookTests(SynchronousTestCase):
    """When each hook is called, and that none needs super()."""

    def test_order(self) -> None:
        """Made, messages, finished, lost; each but messages once."""
        recorder = Recorder()
        peer = connected(recorder)
        peer.write(b"one")
        peer.finish(b"two")
        peer.transport.resumeProducing()
        peer.clock.advance(1)
        self.assertEqual(recorder.events, ["made", b"one", b"two", "finished"])
        recorder.write(b"much later")
        peer.clock.advance(3600)
        self.assertEqual((peer.value(), peer.ended), (b"much later", False))
        recorder.hangUp()
        self.assertEqual((peer.ended, peer.wasReset), (True, False))
        self.assertEqual(recorder.events[4:], ["lost"])

    def test_wholeMessages(self) -> None:
        """A message is delivered when it is whole; so is a last line without newline at FIN."""
        recorder = LineRecorder()
        peer = connected(recorder)
        peer.write(b"one\ntw")
        self.assertEqual(recorder.events, ["made", b"one"])
        peer.write(b"o\n")
        peer.finish(b"three")
        self.assertEqual(recorder.events, ["made", b"one", b"two", b"three", "finished"])

    def test_handOver(self) -> None:
        """Another protocol may take the connection over in the middle of a message."""

        class Switch(Conversation):
            framing = Lines

            def messageReceived(self, message: bytes) -> None:
                rest = self.framing.unread()
                self.transport.protocol = other
                other.makeConnection(self.transport)
                other.dataReceived(rest)

        other = Recorder()
        peer = connected(Switch())
        peer.write(b"switch\nrest\nof it")
        peer.write(b" and more")
        self.assertEqual(other.events, ["made", b"rest\nof it", b" and more"])
        peer.finish()
        self.assertEqual(other.events[3:], ["finished"])


class VerbTests(SynchronousTestCase):
    """What a subclass calls."""

    def test_sendAndWrite(self) -> None:
        """send frames, write does not; the greeting is framed and sent first."""

        class Both(Conversation):
            framing = CRLF
            greeting = b"hello"

            def connectionMade(self) -> None:
                self.send(b"framed")
                self.write(b"raw")

        peer = connected(Both())
        self.assertEqual(peer.value(), b"hello\r\nframed\r\nraw")
        self.assertRaises(FramingError, peer.protocol.send, b"two\r\nlines")

    def test_text(self) -> None:
        """Text is refused with a hint, in every framing, over TCP and with unsent bytes counted."""
        for framing in (Stream, Lines, CRLF, Netstrings, Int32):
            for reading in (True, False):
                peer = connected(ConversationFactory(Recorder, framing=framing))
                peer.reading = reading
                peer.protocol.write(b"x" * 200_000)
                for method, value, says in (
                    ("send", "text", "takes bytes, not str: write .encode()"),
                    ("write", "text", "takes bytes, not str: write .encode()"),
                    ("report", "text", "takes bytes, not str: write .encode()"),
                    ("send", 5, "takes bytes, not int: write b'%d' % number"),
                    ("write", None, "takes bytes, not NoneType"),
                ):
                    error = self.assertRaises(TypeError, getattr(peer.protocol, method), value)
                    self.assertIn(f"{method}() {says}", str(error), framing)

    def test_tooEarly(self) -> None:
        for method in ("send", "write"):
            error = self.assertRaises(RuntimeError, getattr(Recorder(), method), b"hi")
            self.assertIn(f"{method}() before there is a connection", str(error))

    def test_report(self) -> None:
        """A reported message reaches the server's observers."""
        peer = connected(Recorder())
        peer.protocol.report(b"hear")
        self.assertEqual(peer.messages, [b"hear"])

    def test_abort(self) -> None:
        """The connection of this peer is reset, for a reason."""
        peer = connected(Recorder())
        self.assertEqual(peer.protocol.peer.host, "127.0.0.1")
        peer.protocol.abort("fault")
        peer.clock.advance(0)
        self.assertEqual((peer.wasReset, ending(peer)), (True, ("reset", "fault")))
