"""Tests for `tcplab.protocols.factory`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tcplab.protocols.conversation import Conversation
from tcplab.protocols.dialogue import Dialogue
from tcplab.protocols.echo import Echo
from tcplab.protocols.factory import ConversationFactory, descriptorsOf, settingsOf
from tcplab.protocols.forward import Forward
from tcplab.protocols.relay import Relay
from tcplab.testing import connected
from tcplab.wire.framing import CRLF, FramingError, Lines, Stream
from tests.support.conversations import Shout, ending

OWN = {"clock", "framing", "greeting", "lingerTimeout", "maxUnsent"}


class Louder(Shout):
    """A conversation with settings of its own."""

    suffix = b"!"
    words: ClassVar[list[bytes]] = [b"some"]
    _kept = 0

    def messageReceived(self, message: bytes) -> None:
        self._kept += 1
        self.send(message.upper() + self.suffix)

    def louder(self) -> None:
        """Be no setting."""

    @property
    def volume(self) -> int:
        """Be none either."""
        return self._kept

    @classmethod
    def loudest(cls) -> None: ...

    @staticmethod
    def loud() -> None: ...


class SettingsTests(SynchronousTestCase):
    """A conversation's settings are its public attributes that are not methods."""

    def test_settingsOf(self) -> None:
        """The five that are documented, and a subclass's own; its defaults come first."""
        for kind in (Conversation, Echo, Dialogue):
            self.assertEqual(set(settingsOf(kind)), OWN)
        peer = connected(Louder())  # also while one is connected
        peer.write(b"hi\n")
        settings = settingsOf(type(peer.protocol))
        self.assertEqual(set(settings), OWN | {"suffix", "words"})
        self.assertEqual((settings["greeting"], settings["framing"]), (b"say something", Lines))
        self.assertEqual((settings["lingerTimeout"], settings["maxUnsent"]), (2.0, 2**20))
        self.assertIsNone(settings["clock"])


class BuildingTests(SynchronousTestCase):
    """It builds conversations of one class."""

    def test_interface(self) -> None:
        """It is a factory like Twisted's; starting and stopping are not logged."""
        events: list[Any] = []
        globalLogPublisher.addObserver(events.append)
        self.addCleanup(globalLogPublisher.removeObserver, events.append)
        factory = ConversationFactory(Louder)
        verifyObject(IProtocolFactory, factory)
        factory.doStart()
        factory.doStop()
        self.assertEqual(events, [])

    def test_build(self) -> None:
        """Each connection has a conversation of its own, which knows its factory, if it has one."""
        factory = ConversationFactory(Louder)
        one, two = (factory.buildProtocol(None) for _ in range(2))
        self.assertIsInstance(one, Louder)
        self.assertIsNot(one, two)
        self.assertIs(one.factory, factory)
        self.assertIsNone(connected(Louder()).protocol.factory)

    def test_overrides(self) -> None:
        """Settings override the class's, in what this factory builds and nowhere else."""
        louder = ConversationFactory(Louder, greeting=b"louder", framing=CRLF, suffix=b"!!")
        for factory, expected in (
            (louder, b"louder\r\nHI!!\r\n"),
            (ConversationFactory(Louder), b"say something\nHI!\n"),
            (louder, b"louder\r\nHI!!\r\n"),
        ):
            peer = connected(factory)
            peer.write(b"hi\r\n")
            self.assertEqual(peer.value(), expected)

    def test_framing(self) -> None:
        """Two connections of one factory do not share a framing."""
        factory = ConversationFactory(Louder, framing=CRLF, greeting=b"")
        one, two = connected(factory), connected(factory)
        one.write(b"one")
        two.write(b"two\r\n")
        one.write(b"\r\n")
        self.assertEqual((one.value(), two.value()), (b"ONE!\r\n", b"TWO!\r\n"))

    def test_lingerTimeoutAndClock(self) -> None:
        """The clock that was set counts the time that was set."""
        clock = Clock()
        peer = connected(ConversationFactory(Louder, lingerTimeout=7, clock=clock))
        peer.protocol.hangUp()
        peer.clock.pump([1.0] * 60)
        clock.advance(6.9)
        peer.clock.advance(0)
        self.assertTrue(peer.connected)
        clock.advance(0.2)
        peer.clock.advance(0)
        self.assertFalse(peer.connected)

    def test_maxUnsent(self) -> None:
        """The bound on what may wait for a peer is the one that was set."""
        peer = connected(ConversationFactory(Louder, maxUnsent=1000, framing=Stream))
        peer.reading, peer.window = False, 0
        for _ in range(300):
            peer.protocol.write(b"x" * 1000)
            peer.clock.advance(0)
        self.assertEqual(ending(peer)[1], "unread")

    def test_logPrefix(self) -> None:
        """Twisted's own ports log under the conversation's class."""
        self.assertEqual(ConversationFactory(Louder).logPrefix(), "Louder")

    def test_subclass(self) -> None:
        """A factory may hold state that its conversations share."""

        class Counting(ConversationFactory):
            count = 0

        class Counts(Conversation):
            def connectionMade(self) -> None:
                assert isinstance(self.factory, Counting)
                self.factory.count += 1

        factory = Counting(Counts)
        connected(factory)
        connected(factory)
        self.assertEqual(factory.count, 2)


class MistakeTests(SynchronousTestCase):
    """A mistake is reported when the factory is made, not for each connection."""

    def test_unknownSetting(self) -> None:
        """The line names the settings there are."""
        error = self.assertRaises(TypeError, ConversationFactory, Louder, greting=b"hi")
        self.assertEqual(
            str(error),
            "Louder has no setting 'greting'; it has clock, framing, greeting, lingerTimeout,"
            " maxUnsent, suffix, words",
        )

    def test_noSettings(self) -> None:
        """Methods, private attributes, and those of a connection are none."""
        for name in (
            *("messageReceived", "louder", "loud", "loudest", "volume", "peer", "writable"),
            *("_kept", "flow", "started", "ending", "_dataHook", "peerFinished", "raw"),
            *("transport", "factory", "connected", "__class__"),
        ):
            error = self.assertRaises(TypeError, ConversationFactory, Louder, **{name: 1})
            self.assertIn(f"no setting {name!r}", str(error))

    def test_values(self) -> None:
        """A value of a wrong type is refused, also on the class."""

        class Hasty(Echo):
            lingerTimeout = "2"  # type: ignore[assignment]

        wrong: Any
        for name, values, advice in (
            ("framing", ("lines", Lines()), "give the class itself"),
            ("lingerTimeout", (-1, "2", None), "give seconds"),
            ("maxUnsent", (-1, "2", None), "give bytes"),
        ):
            for wrong in values:
                error = self.assertRaises(TypeError, ConversationFactory, Echo, **{name: wrong})
                self.assertIn(f"{name} is {wrong!r}: {advice}", str(error))
        error = self.assertRaises(TypeError, ConversationFactory, Hasty)
        self.assertIn("Hasty: lingerTimeout is '2'", str(error))
        self.assertRaises(FramingError, ConversationFactory, Louder, greeting=b"two\nlines")

    def test_firstMistakes(self) -> None:
        """Text for bytes, an instance for a class: one line each, as soon as it can be known."""

        def hook(name: str, method: Any) -> Callable[[], object]:
            return lambda: type("Shy", (Echo,), {name: method})

        def generator(self: Any, message: bytes) -> Any:
            yield message

        for mistake, says in (
            (hook("messageReceived", lambda self: None), "def messageReceived(self, message)"),
            (hook("connectionLost", lambda self: None), "write def connectionLost(self, reason)"),
            (
                hook("messageReceived", generator),
                "is a generator, which nothing runs: use Dialogue",
            ),
            (lambda: type("Shy", (Echo,), {"greeting": "hi"}), "Shy.greeting takes bytes, not str"),
            (lambda: type("Shy", (Echo,), {"framing": Lines()}), "Shy.framing takes the class"),
            (lambda: type("Shy", (Echo,), {"framing": "lines"}), "Shy.framing takes the class"),
            (
                lambda: ConversationFactory(Echo, greeting="hi"),
                "Echo.greeting takes bytes, not str",
            ),
            (lambda: ConversationFactory(Echo, greeting=None), "takes bytes, not NoneType"),
            (lambda: ConversationFactory(Echo()), "takes a Conversation's class, not <"),  # type: ignore[arg-type]
            (lambda: ConversationFactory("echo"), "takes a Conversation's class, not 'echo'"),  # type: ignore[arg-type]
            (lambda: ConversationFactory(type(None)), "takes a Conversation's class, not <class"),  # type: ignore[arg-type]
            (
                lambda: ConversationFactory(
                    Echo, framing=type("Semi", (Lines,), {"delimiter": ";"})
                ),
                "a delimiter takes bytes, not str",
            ),
        ):
            error = self.assertRaises(TypeError, mistake)
            self.assertIn(says, str(error))

    def test_misspeltHooks(self) -> None:
        """There is a warning; a method that only resembles a hook, or stands beside it, is fine."""
        for name, hook in (
            ("messageRecieved", "messageReceived"),
            ("message_received", "messageReceived"),
            ("connectionmade", "connectionMade"),
            ("tellEveryone", ""),
        ):
            type("Shy", (Conversation,), {name: lambda self: None})
            said = [each["message"] for each in self.flushWarnings()]
            wanted = f"Shy.{name} is no hook: did you mean {hook}?"
            self.assertEqual(said, [wanted] if hook else [])
        methods = {each: lambda self, message: None for each in ("message_received",)}
        type("Shy", (Conversation,), {**methods, "messageReceived": methods["message_received"]})
        self.assertEqual(self.flushWarnings(), [])

    def test_descriptors(self) -> None:
        """A behaviour that connects to a server takes two for each connection."""
        for factory, count in (
            (ConversationFactory(Echo), 1),
            (ConversationFactory(Relay, name="bob"), 2),
            (ConversationFactory(type("Mine", (Forward,), {}), to="tcp:localhost:7"), 2),
            (Factory.forProtocol(Echo), 1),
        ):
            self.assertEqual(descriptorsOf(factory), count)

    def test_noConverse(self) -> None:
        """A dialogue needs a converse()."""
        for each in (Dialogue, type("Mute", (Dialogue,), {})):
            error = self.assertRaises(TypeError, ConversationFactory, each)
            self.assertIn(f"{each.__name__} has no converse(): write it", str(error))
