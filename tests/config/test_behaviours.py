"""Names of behaviours, and the factories they stand for."""

from __future__ import annotations

from typing import Any, Optional

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.protocol import Factory, Protocol
from twisted.protocols.wire import Echo as WireEcho
from twisted.trial.unittest import SynchronousTestCase

from tcplab import protocols
from tcplab.config import behaviours
from tcplab.config.behaviours import Behaviour, framingOf, hintsOf, kindOf, valueOf
from tcplab.config.behaviourspec import BehaviourSpec, parseSpec
from tcplab.config.errors import SettingsError
from tcplab.protocols import CRLF, Conversation, ConversationFactory, Dialogue, Echo, Lines
from tcplab.testing import connected
from tcplab.wire.names import BEHAVIOURS


class ValueOfTests(SynchronousTestCase):
    def test_values(self) -> None:
        """Bytes understand escapes, text a doubled backslash only."""
        for text, kind, value in (
            (r"a\r\n\\n", bytes, b"a\r\n\\n"),
            (r"tcp:a\:b\\", str, "tcp:a\\:b\\"),
            ("x", None, "x"),
            ("-3", int, -3),
            ("2.5", float, 2.5),
            *((text, bool, True) for text in ("yes", "True", "on", "1")),
            *((text, bool, False) for text in ("no", "False", "off", "0")),
        ):
            found = valueOf(text, kind)
            self.assertEqual((found, type(found)), (value, type(value)))

    def test_mistakes(self) -> None:
        for text, kind, problem in (
            (r"\q", bytes, "unknown escape"),
            ("2.5", int, "no whole number"),
            *((text, float, "no number") for text in ("soon", "nan", "inf")),
            ("maybe", bool, "neither yes nor no"),
        ):
            self.assertIn(problem, str(self.assertRaises(ValueError, valueOf, text, kind)))

    @settings(deadline=None, derandomize=True)
    @given(st.text(max_size=20), st.sampled_from([bool, int, float, bytes, str, None]))
    def test_anything(self, text: str, kind: Any) -> None:
        """It is a value or a ValueError of one line."""
        try:
            value = valueOf(text, kind)
        except ValueError as e:
            self.assertEqual(len(str(e).splitlines()), 1)
        else:
            self.assertIs(type(value), kind or str)


class TypeTests(SynchronousTestCase):
    def test_framingOf(self) -> None:
        self.assertIs(framingOf("lines"), Lines)
        problem = str(self.assertRaises(ValueError, framingOf, "line"))
        self.assertIn("did you mean lines?", problem)
        self.assertIn("netstrings", problem)

    def test_kindOf(self) -> None:
        """The annotation tells, else the default's type."""
        for hint, default, kind in (
            (float, 3, float),
            (int | None, None, int),
            (Optional[bytes], None, bytes),  # noqa: UP045
            (None, True, bool),
            (list[int], b"", bytes),
            (None, None, None),
            (dict, {}, None),
        ):
            self.assertIs(kindOf(hint, default), kind)

    def test_hintsOf(self) -> None:
        """Annotations as types; with one that names nothing there are none at all."""

        def known(a: int, b: bytes | None = None) -> None: ...

        def unknown(a: int, b: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821

        self.assertIs(hintsOf(known)["a"], int)
        self.assertEqual(hintsOf(unknown), {})


_HERE = __name__
_NEEDING = {"relay": "relay,name=bob", "forward": "forward,to=tcp:localhost:7"}
_ADDRESS = IPv4Address("TCP", "127.0.0.1", 1)


class Talker(Conversation):
    greeting = b"hello"
    rooms: int | None = None
    loud = False
    motto = "none"
    pairs = {"a": 1}


class Plain(Protocol):
    pass


class Needy(Protocol):
    def __init__(self, name: str) -> None:
        self.name = name


class Chat(Factory):
    protocol = Plain

    def __init__(self, room: str, size: int = 3, topic: Any = b"") -> None:
        if size > 9:
            raise ValueError("too large\nby far")
        self.room, self.size, self.topic = room, size, topic


class Silent(Factory):
    protocol = Protocol


class Anything(Factory):
    protocol = Protocol

    def __init__(self, **words: str) -> None:
        self.words = words


class Room(ConversationFactory):
    def __init__(self, **settings: Any) -> None:
        super().__init__(Echo, **settings)


made = Factory.forProtocol(Plain)
one = Plain()
number = 3


class NoProtocol:
    pass


def function() -> None: ...


def behaviour(text: str) -> Behaviour:
    return Behaviour(parseSpec(text))


def factory(text: str, **defaults: Any) -> Any:
    return behaviour(text).factory(**defaults)


class Refusing(SynchronousTestCase):
    def refused(self, text: str) -> str:
        problem = str(self.assertRaises(SettingsError, factory, text))
        self.assertEqual(len(problem.splitlines()), 1)
        return problem


class NameTests(Refusing):
    def test_known(self) -> None:
        """Each name is a class of tcplab."""
        for name, dotted in BEHAVIOURS.items():
            made = factory(_NEEDING.get(name, name))
            self.assertEqual(f"{protocols.__name__}.{made.protocol.__name__}", dotted)
        self.assertEqual(factory(f"{_HERE}.Talker").protocol.__name__, "Talker")

    def test_unknown(self) -> None:
        """It is refused with all the others."""
        problem = self.refused("ecko")
        self.assertLessEqual(set(behaviours._SYNONYMS.values()), set(BEHAVIOURS))
        for name in ("did you mean echo?", *BEHAVIOURS):
            self.assertIn(name, problem)

    def test_endpointAsValue(self) -> None:
        made = factory(r"forward,to=unix:/run/a\\:b\,c\@d,proxyprotocol=v2")
        self.assertEqual(made.settings, {"to": r"unix:/run/a\:b,c@d", "proxyprotocol": "v2"})


class ConversationTests(SynchronousTestCase):
    def built(self, keys: str, **defaults: Any) -> Any:
        made = factory(f"{_HERE}.Talker{keys}", **defaults)
        self.assertIsInstance(made, ConversationFactory)
        return made.buildProtocol(_ADDRESS)

    def test_settings(self) -> None:
        """Each by its type; those of the SPEC come before the lab's."""
        talker = self.built(
            r",greeting=hi\t,framing=lines,lingerTimeout=3,maxUnsent=10,rooms=4,loud=yes,motto=a\,b",
            lingerTimeout=9.0,
        )
        self.assertEqual(talker.greeting, b"hi\t")
        self.assertIs(talker.framing, Lines)
        self.assertEqual((talker.lingerTimeout, talker.maxUnsent), (3.0, 10))
        self.assertEqual((talker.rooms, talker.loud, talker.motto), (4, True, "a,b"))
        self.assertEqual(self.built("", lingerTimeout=9.0).lingerTimeout, 9.0)

    def test_passedOn(self) -> None:
        """Those that a factory passes on are of their types too."""
        room = factory(f"{_HERE}.Room,greeting=hi,framing=crlf,maxUnsent=10")
        self.assertEqual(room.settings, {"greeting": b"hi", "framing": CRLF, "maxUnsent": 10})


class SpeaksFirstTests(SynchronousTestCase):
    def test_speaksFirst(self) -> None:
        """A conversation that has a greeting, but none of its own in the SPEC."""
        for name in ("lab", "greeting", "ack", f"{_HERE}.Talker"):
            self.assertTrue(behaviour(name).speaksFirst, name)
        others = "echo", "discard", f"{_HERE}.Plain", f"{_HERE}.Chat,room=x", f"{_HERE}.made"
        for name in (*others, "lab,greeting=hi"):
            self.assertFalse(behaviour(name).speaksFirst, name)


class OtherTests(SynchronousTestCase):
    def test_plainProtocol(self) -> None:
        """It is built by a quiet factory."""
        made = factory("twisted.protocols.wire.Echo", lingerTimeout=3.0)
        self.assertIsInstance(made.buildProtocol(_ADDRESS), WireEcho)
        self.assertFalse(made.noisy)

    def test_factory(self) -> None:
        """Keys are arguments, by annotation or default; one that is made is served as it is."""
        chat = factory(rf"{_HERE}.Chat,room=7,size=8,topic=\x00", lingerTimeout=3.0)
        self.assertEqual((chat.room, chat.size, chat.topic), ("7", 8, b"\0"))
        self.assertEqual(factory(f"{_HERE}.Anything,a=1,b=x").words, {"a": "1", "b": "x"})
        self.assertIsInstance(factory(f"{_HERE}.Silent"), Silent)
        self.assertIs(factory(f"{_HERE}.made"), made)


class RefusalTests(Refusing):
    def test_mistakes(self) -> None:
        for text, problem in (
            ("forward", "add to=ENDPOINT, as in"),
            ("relay", "add name=NAME, as in"),
            ("relay,name=ann,next=bob:7", "did you mean tcp:bob:7?"),
            (r"lab,greeting=one\ntwo,framing=lines", "its framing has no form for its greeting"),
            ("echo,linger-timeout=3", "did you mean lingerTimeout?"),
            ("echo,linger-timeout=3", "framing"),
            ("echo,clock=3", "no setting clock"),
            ("echo,lingerTimeout=soon", "lingerTimeout=soon: 'soon' is no number"),
            ("echo,lingerTimeout=0", "above 0"),
            ("echo,maxUnsent=-1", "above 0"),
            ("echo,framing=line", "did you mean lines?"),
            (r"echo,greeting=\q", "unknown escape"),
            (f"{_HERE}.Talker,pairs=x", "a dict cannot be typed"),
            (f"{_HERE}.Plain,a=1", "plain Protocol, without settings"),
            (f"{_HERE}.Needy", "cannot be made without name"),
            ("twisted.internet.protocol.Factory", "Factory has no protocol to build"),
            (f"{_HERE}.Silent,a=1", "no settings"),
            (f"{_HERE}.Chat", f"write {_HERE}.Chat,room="),
            (f"{_HERE}.Chat,rom=1", "did you mean room?"),
            (f"{_HERE}.Chat,room=x,size=10", "test_behaviours.py, line "),
            (f"{_HERE}.Chat,room=x,size=10", "ValueError: too large"),
            (f"{_HERE}.made,a=1", "made already"),
            (f"{_HERE}.NoProtocol", "neither a Protocol nor a Factory"),
            (f"{_HERE}.one", "one Protocol, not a class"),
            (f"{_HERE}.function", "is a function"),
            ("tcplab.protocols", "is a module"),
            (f"{_HERE}.number", "is a int"),
        ):
            self.assertIn(problem, self.refused(text))
        self.assertNotIn("clock", self.refused("echo,linger-timeout=3"))


class GivenTests(SynchronousTestCase):
    """What is served may be given in Python."""

    def factory(self, served: object) -> Any:
        return Behaviour(BehaviourSpec.of(served)).factory()

    def test_classes_and_factories(self) -> None:
        self.assertIs(self.factory(Talker).protocol, Talker)
        self.assertIs(self.factory(made), made)
        self.assertIsInstance(self.factory(Room), Room)
        self.assertIs(self.factory("echo").protocol, Echo)

    def test_coroutine_function(self) -> None:
        """It is the conversation of a `Dialogue`."""

        async def ask(dialogue: Dialogue) -> None:
            dialogue.send(b"name?")
            dialogue.send(await dialogue.receive())

        spec = BehaviourSpec.of(ask)
        self.assertEqual(str(spec), "ask")
        peer = connected(Behaviour(spec).factory())
        peer.write(b"Ada")
        self.assertEqual(peer.value(), b"name?Ada")

    def test_what_cannot_be_served(self) -> None:
        problem = self.assertRaises(SettingsError, Behaviour, BehaviourSpec.of(function))
        self.assertIn("function is a function: name a Protocol class", str(problem))
