"""Tests for `tcplab.protocols.conversation`."""

from __future__ import annotations

from twisted.internet.protocol import Factory
from twisted.internet.testing import StringTransport
from twisted.protocols.policies import WrappingFactory
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tcplab.protocols.conversation import Conversation
from tcplab.protocols.dialogue import Dialogue
from tcplab.protocols.echo import Echo
from tcplab.protocols.factory import ConversationFactory
from tcplab.testing import connected
from tcplab.wire.framing import CRLF, FramingError, Lines
from tcplab.wire.lengthprefix import Netstrings
from tests.support.conversations import Keep, KeepLines, Shout


class DefinitionTests(SynchronousTestCase):
    """What is said when a class is made."""

    def test_coroutineHook(self) -> None:
        """A hook that is a coroutine would never run: that is said when the class is made."""
        with self.assertRaises(TypeError) as caught:

            class Wrong(Conversation):
                async def messageReceived(self, message: bytes) -> None:  # type: ignore[override]
                    pass

        self.assertIn("use Dialogue", str(caught.exception))
        self.assertIn("Wrong.messageReceived", str(caught.exception))


class FailureTests(SynchronousTestCase):
    """An exception in a hook is logged once and ends that connection only."""

    def check(self, conversation: Conversation, *said: bytes, finish: bool = False) -> None:
        peer = connected(conversation)
        for piece in said:
            peer.write(piece)
        if finish:
            peer.finish()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertFalse(peer.connected)
        assert peer.ending is not None
        self.assertEqual((peer.ending.how, peer.ending.why), ("reset", "error"))
        self.assertEqual(peer.clock.getDelayedCalls(), [])

    def test_connectionMade(self) -> None:
        class Bad(Conversation):
            def connectionMade(self) -> None:
                raise ZeroDivisionError

        self.check(Bad())

    def test_messageReceived(self) -> None:
        class Bad(Conversation):
            framing = Lines

            def messageReceived(self, message: bytes) -> None:
                raise ZeroDivisionError

        self.check(Bad(), b"one\ntwo\nthree\n")

    def test_readConnectionLost(self) -> None:
        class Bad(Conversation):
            def readConnectionLost(self) -> None:
                raise ZeroDivisionError

        self.check(Bad(), finish=True)

    def test_connectionLost(self) -> None:
        """In connectionLost it is logged, and nothing stays behind."""

        class Bad(Conversation):
            def connectionLost(self, reason: Failure | None = None) -> None:
                raise ZeroDivisionError

        peer = connected(Bad())
        peer.finish()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertFalse(peer.connected)
        self.assertEqual(peer.clock.getDelayedCalls(), [])

    def test_answerThatCannotBeFramed(self) -> None:
        """It is the hook's failure, told with its traceback; the peer has said nothing wrong."""

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
            self.assertEqual(len(self.flushLoggedErrors(FramingError)), 1)
            assert peer.ending is not None
            self.assertEqual((peer.ending.how, peer.ending.why), ("reset", "error"))

    def test_badInput(self) -> None:
        """Input that cannot be understood ends politely, without a traceback."""

        class Nets(Keep):
            framing = Netstrings

        keep = Nets()
        peer = connected(keep)
        peer.write(b"3:abc,nonsense")
        self.assertEqual(keep.told, ["made", b"abc"])
        self.assertTrue(peer.ended)
        peer.finish()
        assert peer.ending is not None
        self.assertEqual((peer.ending.how, peer.ending.why), ("fin", "error"))

    def test_cutShort(self) -> None:
        """A netstring cut short is an error, not a message."""

        class Nets(Keep):
            framing = Netstrings

        keep = Nets()
        peer = connected(keep)
        peer.finish(b"5:ab")
        self.assertEqual(keep.told, ["made", "lost"])
        assert peer.ending is not None
        self.assertEqual(peer.ending.why, "error")

    def test_lineTooLong(self) -> None:
        """A line without end is refused before it fills the memory."""
        keep = KeepLines()
        peer = connected(keep)
        for _ in range(3):
            peer.write(b"x" * 65536)
        self.assertEqual(keep.told, ["made"])
        self.assertTrue(peer.ended)


class StraightTests(SynchronousTestCase):
    """Bytes go straight through only as long as nothing else is asked for."""

    def test_anotherFraming(self) -> None:
        """Who takes another framing in the middle speaks and hears in it from then on."""

        class Turning(Keep):
            def messageReceived(self, message: bytes) -> None:
                super().messageReceived(message)
                self.send(message.upper())
                self.framing = Lines()

        peer = connected(Turning())
        peer.write(b"raw")
        peer.write(b"one\ntw")
        self.assertEqual(peer.protocol.told, ["made", b"raw", b"one"])
        self.assertEqual(peer.value(), b"RAWONE\n")

    def test_congested(self) -> None:
        """What comes while answers wait keeps its order, and goes straight again afterwards."""
        peer = connected(Echo())
        peer.window, peer.reading = 10, False
        for number in range(100):
            peer.write(b"%04d" % number * 1000)
        self.assertIsNone(peer.protocol._fastPath)
        peer.resume()
        expected = b"".join(b"%04d" % number * 1000 for number in range(100))
        self.assertEqual(peer.value(), expected)
        self.assertIs(peer.protocol._fastPath, peer.protocol.framing)

    def test_attention(self) -> None:
        """Whoever pays attention is asked, until he does so no more."""
        peer = connected(Echo())
        answers = [False, True]
        peer.protocol.setDataHook(answers.pop)
        peer.write(b"yes")
        peer.write(b"no")
        peer.protocol.setDataHook(None)
        peer.write(b"again")
        self.assertEqual((peer.value(), answers), (b"yesagain", []))


class AloneTests(SynchronousTestCase):
    """A Conversation needs neither our factory nor our transport."""

    def test_forProtocol(self) -> None:
        """Twisted's plain factory builds a working one."""
        peer = connected(Factory.forProtocol(Shout))
        peer.finish(b"hi\n")
        self.assertEqual(peer.value(), b"say something\nHI\n")
        self.assertFalse(peer.connected)

    def test_stringTransport(self) -> None:
        """Twisted's own transport for tests serves too."""
        transport = StringTransport()
        shout = Shout()
        shout.makeConnection(transport)
        shout.dataReceived(b"hi\n")
        self.assertEqual(transport.value(), b"say something\nHI\n")
        shout.readConnectionLost()
        self.assertTrue(transport.disconnecting)

    def test_insideWrapper(self) -> None:
        """Inside a wrapper of Twisted's policies it ends politely too."""

        class Quiet(WrappingFactory):
            noisy = False

        peer = connected(Quiet(ConversationFactory(Shout)))
        peer.write(b"hi\n")
        self.assertEqual(peer.value(), b"say something\nHI\n")
        peer.protocol.wrappedProtocol.hangUp()
        self.assertTrue(peer.ended)
        peer.finish()
        self.assertFalse(peer.connected)
        self.assertFalse(peer.wasReset)


class HookTests(SynchronousTestCase):
    """When each hook is called, and that none needs super()."""

    def test_order(self) -> None:
        """Made, messages, finished, lost."""
        keep = Keep()
        peer = connected(keep)
        peer.write(b"one")
        peer.finish(b"two")
        keep.hangUp()
        self.assertFalse(peer.connected)
        self.assertEqual(keep.told, ["made", b"one", b"two", "finished", "lost"])

    def test_greetingComesFirst(self) -> None:
        """The greeting is framed, and said before connectionMade speaks."""

        class Eager(Shout):
            def connectionMade(self) -> None:
                self.send(b"and quickly")

        self.assertEqual(connected(Eager()).value(), b"say something\nand quickly\n")

    def test_wholeMessages(self) -> None:
        """A message is delivered when it is whole, without its delimiter."""
        keep = KeepLines()
        peer = connected(keep)
        peer.write(b"one\ntw")
        self.assertEqual(keep.told, ["made", b"one"])
        peer.write(b"o\n")
        self.assertEqual(keep.told, ["made", b"one", b"two"])

    def test_lastLineWithoutNewline(self) -> None:
        """A last line without its newline is a message when the peer finishes."""
        keep = KeepLines()
        connected(keep).finish(b"one\ntwo")
        self.assertEqual(keep.told, ["made", b"one", b"two", "finished"])

    def test_speakAfterThePeerFinished(self) -> None:
        """A half-closed connection is still good for speaking."""
        keep = Keep()
        peer = connected(keep)
        peer.finish()
        keep.write(b"much later")
        peer.clock.advance(3600)
        self.assertEqual((peer.value(), peer.ended), (b"much later", False))
        keep.hangUp()
        self.assertTrue(peer.ended)
        self.assertFalse(peer.wasReset)

    def test_finishedIsToldOnce(self) -> None:
        """Whatever the transport does, the end of the input is told once."""
        keep = Keep()
        peer = connected(keep)
        peer.finish()
        peer.transport.resumeProducing()
        peer.clock.advance(1)
        self.assertEqual(keep.told, ["made", "finished"])

    def test_inMidMessage(self) -> None:
        """A subclass may end, or let another protocol go on, in the middle of a chunk."""

        class Switch(Conversation):
            framing = Lines

            def messageReceived(self, message: bytes) -> None:
                rest = self.framing.unread()
                self.transport.protocol = other
                other.makeConnection(self.transport)
                other.dataReceived(rest)

        other = Keep()
        peer = connected(Switch())
        peer.write(b"switch\nrest\nof it")
        peer.write(b" and more")
        self.assertEqual(other.told, ["made", b"rest\nof it", b" and more"])


class SpeakingTests(SynchronousTestCase):
    """send, write, report."""

    def test_framedAndRaw(self) -> None:
        """send frames, write does not."""

        class Both(Conversation):
            framing = CRLF

            def connectionMade(self) -> None:
                self.send(b"framed")
                self.write(b"raw")

        self.assertEqual(connected(Both()).value(), b"framed\r\nraw")

    def test_unsayable(self) -> None:
        """A line with a newline in it cannot be said as one."""
        shout = Shout()
        connected(shout)
        self.assertRaises(FramingError, shout.send, b"two\nlines")

    def test_report(self) -> None:
        """A reported message reaches the observers of the server."""
        keep = Keep()
        peer = connected(keep)
        keep.report(b"hear")
        self.assertEqual(peer.messages, [b"hear"])

    def test_reportOfText(self) -> None:
        """A text is refused where it is given, not where the log would fail."""
        keep = Keep()
        connected(keep)
        with self.assertRaisesRegex(TypeError, r"report\(\) takes bytes, not str"):
            keep.report("hear")  # type: ignore[arg-type]

    def test_reportWithoutServer(self) -> None:
        """On a transport that nobody watches a report is told to nobody."""
        keep = Keep()
        keep.makeConnection(StringTransport())
        keep.report(b"hear")

    def test_peer(self) -> None:
        """The peer's address is at hand."""
        keep = Keep()
        connected(keep)
        self.assertEqual(keep.peer.host, "127.0.0.1")

    def test_abort(self) -> None:
        """abort() resets, and says why."""
        keep = Keep()
        peer = connected(keep)
        keep.abort("fault")
        peer.clock.advance(0)
        assert peer.ending is not None
        self.assertEqual((peer.ending.by, peer.ending.how), ("server", "reset"))
        self.assertEqual(peer.ending.why, "fault")
        self.assertTrue(peer.wasReset)
