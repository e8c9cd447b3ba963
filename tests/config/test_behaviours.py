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
from tcplab.config.behaviours import Behaviour, framingOf, hintsOf, kindOf, valueOf
from tcplab.config.behaviourspec import BehaviourSpec, parseSpec
from tcplab.config.errors import SettingsError
from tcplab.protocols import CRLF, Conversation, ConversationFactory, Dialogue, Echo, Lines
from tcplab.testing import connected
from tcplab.wire.names import BEHAVIOURS


class ValueOf(SynchronousTestCase):
    def refused(self, text: str, kind: type) -> str:
        return str(self.assertRaises(ValueError, valueOf, text, kind))

    def test_bytes_understand_escapes(self) -> None:
        self.assertEqual(valueOf(r"a\r\n\\n", bytes), b"a\r\n\\n")
        self.assertIn("unknown escape", self.refused(r"\q", bytes))

    def test_text_understands_a_doubled_backslash_only(self) -> None:
        self.assertEqual(valueOf(r"tcp:a\:b\\", str), "tcp:a\\:b\\")
        self.assertEqual(valueOf("x", None), "x")

    def test_numbers(self) -> None:
        self.assertEqual(valueOf("-3", int), -3)
        self.assertEqual(valueOf("2.5", float), 2.5)
        self.assertIn("no whole number", self.refused("2.5", int))
        for text in ("soon", "nan", "inf"):
            self.assertIn("no number", self.refused(text, float))

    def test_yes_and_no(self) -> None:
        for text in ("yes", "True", "on", "1"):
            self.assertIs(valueOf(text, bool), True)
        for text in ("no", "False", "off", "0"):
            self.assertIs(valueOf(text, bool), False)
        self.assertIn("neither yes nor no", self.refused("maybe", bool))

    @settings(deadline=None, derandomize=True)
    @given(st.text(max_size=20), st.sampled_from([bool, int, float, bytes, str, None]))
    def test_anything_is_a_value_or_a_ValueError_of_one_line(self, text: str, kind: Any) -> None:
        try:
            value = valueOf(text, kind)
        except ValueError as e:
            self.assertEqual(len(str(e).splitlines()), 1)
        else:
            self.assertIs(type(value), kind or str)


class FramingOf(SynchronousTestCase):
    def test_by_name(self) -> None:
        self.assertIs(framingOf("lines"), Lines)

    def test_unknown_name_names_the_others(self) -> None:
        problem = str(self.assertRaises(ValueError, framingOf, "line"))
        self.assertIn("did you mean lines?", problem)
        self.assertIn("netstrings", problem)


class KindOf(SynchronousTestCase):
    def test_annotation_goes_before_the_default(self) -> None:
        self.assertIs(kindOf(float, 3), float)

    def test_optional_types(self) -> None:
        self.assertIs(kindOf(int | None, None), int)
        self.assertIs(kindOf(Optional[bytes], None), bytes)  # noqa: UP045

    def test_type_of_the_default(self) -> None:
        self.assertIs(kindOf(None, True), bool)
        self.assertIs(kindOf(list[int], b""), bytes)

    def test_neither_tells(self) -> None:
        self.assertIsNone(kindOf(None, None))
        self.assertIsNone(kindOf(dict, {}))


class HintsOf(SynchronousTestCase):
    def test_annotations_as_types(self) -> None:
        def function(a: int, b: bytes | None = None) -> None: ...

        self.assertIs(hintsOf(function)["a"], int)

    def test_annotations_that_name_nothing_are_none_at_all(self) -> None:
        def function(a: int, b: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821

        self.assertEqual(hintsOf(function), {})


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


class Anything(Factory):
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


class Names(Refusing):
    def test_each_name_is_a_class_of_tcplab(self) -> None:
        for name, dotted in BEHAVIOURS.items():
            made = factory(_NEEDING.get(name, name))
            self.assertEqual(f"{protocols.__name__}.{made.protocol.__name__}", dotted)

    def test_what_some_cannot_do_without_is_asked_for(self) -> None:
        self.assertIn("add to=ENDPOINT, as in", self.refused("forward"))
        self.assertIn("add name=NAME, as in", self.refused("relay"))

    def test_endpoint_within_a_value(self) -> None:
        made = factory(r"forward,to=unix:/run/a\\:b\,c\@d,proxyprotocol=v2")
        self.assertEqual(made.settings, {"to": r"unix:/run/a\:b,c@d", "proxyprotocol": "v2"})
        self.assertIn("did you mean tcp:bob:7?", self.refused("relay,name=ann,next=bob:7"))

    def test_unknown_name_is_refused_with_all_the_others(self) -> None:
        problem = self.refused("ecko")
        self.assertIn("did you mean echo?", problem)
        for name in BEHAVIOURS:
            self.assertIn(name, problem)

    def test_dotted_name(self) -> None:
        self.assertEqual(factory(f"{_HERE}.Talker").protocol.__name__, "Talker")


class Conversations(Refusing):
    def built(self, keys: str, **defaults: Any) -> Any:
        made = factory(f"{_HERE}.Talker{keys}", **defaults)
        self.assertIsInstance(made, ConversationFactory)
        return made.buildProtocol(_ADDRESS)

    def test_keys_are_settings_by_the_type_of_each(self) -> None:
        talker = self.built(
            r",greeting=hi\t,framing=lines,lingerTimeout=3,maxUnsent=10,rooms=4,loud=yes,motto=a\,b"
        )
        self.assertEqual(talker.greeting, b"hi\t")
        self.assertIs(talker.framing, Lines)
        self.assertEqual((talker.lingerTimeout, talker.maxUnsent), (3.0, 10))
        self.assertEqual((talker.rooms, talker.loud, talker.motto), (4, True, "a,b"))

    def test_defaults_give_way_to_the_keys(self) -> None:
        self.assertEqual(self.built("", lingerTimeout=9.0).lingerTimeout, 9.0)
        self.assertEqual(self.built(",lingerTimeout=3", lingerTimeout=9.0).lingerTimeout, 3.0)

    def test_greeting_that_cannot_be_framed_is_refused(self) -> None:
        problem = self.refused(r"lab,greeting=one\ntwo,framing=lines")
        self.assertIn("its greeting cannot be said in its framing", problem)

    def test_settings_that_a_factory_passes_on_are_of_their_types(self) -> None:
        room = factory(f"{_HERE}.Room,greeting=hi,framing=crlf,maxUnsent=10")
        self.assertEqual(room.settings, {"greeting": b"hi", "framing": CRLF, "maxUnsent": 10})

    def test_unknown_key_is_refused(self) -> None:
        problem = self.refused("echo,linger-timeout=3")
        self.assertIn("did you mean lingerTimeout?", problem)
        self.assertIn("framing", problem)
        self.assertNotIn("clock", problem)

    def test_clock_cannot_be_typed(self) -> None:
        self.assertIn("no setting clock", self.refused("echo,clock=3"))

    def test_bad_value_is_refused(self) -> None:
        self.assertIn(
            "lingerTimeout=soon: 'soon' is no number", self.refused("echo,lingerTimeout=soon")
        )
        self.assertIn("above 0", self.refused("echo,lingerTimeout=0"))
        self.assertIn("above 0", self.refused("echo,maxUnsent=-1"))
        self.assertIn("did you mean lines?", self.refused("echo,framing=line"))
        self.assertIn("unknown escape", self.refused(r"echo,greeting=\q"))

    def test_setting_that_cannot_be_typed_is_refused(self) -> None:
        self.assertIn("a dict cannot be typed", self.refused(f"{_HERE}.Talker,pairs=x"))


class SpeaksFirst(SynchronousTestCase):
    def test_a_conversation_with_a_greeting_does(self) -> None:
        for name in ("lab", "greeting", "ack", f"{_HERE}.Talker"):
            self.assertTrue(behaviour(name).speaksFirst, name)

    def test_others_do_not(self) -> None:
        for name in ("echo", "discard", f"{_HERE}.Plain", f"{_HERE}.Chat,room=x", f"{_HERE}.made"):
            self.assertFalse(behaviour(name).speaksFirst, name)

    def test_nor_does_one_whose_SPEC_has_its_own(self) -> None:
        self.assertFalse(behaviour("lab,greeting=hi").speaksFirst)


class PlainProtocols(Refusing):
    def test_built_by_a_quiet_factory(self) -> None:
        made = factory("twisted.protocols.wire.Echo", lingerTimeout=3.0)
        self.assertIsInstance(made.buildProtocol(_ADDRESS), WireEcho)
        self.assertFalse(made.noisy)

    def test_have_no_settings(self) -> None:
        self.assertIn("plain Protocol, without settings", self.refused(f"{_HERE}.Plain,a=1"))

    def test_that_cannot_be_made_are_refused_at_once(self) -> None:
        self.assertIn("cannot be made without name", self.refused(f"{_HERE}.Needy"))


class Factories(Refusing):
    def test_keys_are_arguments_by_annotation_or_default(self) -> None:
        chat = factory(rf"{_HERE}.Chat,room=7,size=8,topic=\x00", lingerTimeout=3.0)
        self.assertEqual((chat.room, chat.size, chat.topic), ("7", 8, b"\0"))

    def test_any_key_where_any_is_taken(self) -> None:
        self.assertEqual(factory(f"{_HERE}.Anything,a=1,b=x").words, {"a": "1", "b": "x"})

    def test_without_an_init_of_its_own(self) -> None:
        made = factory("twisted.internet.protocol.Factory")
        self.assertIsInstance(made, Factory)
        self.assertIn("no settings", self.refused("twisted.internet.protocol.Factory,a=1"))

    def test_missing_argument_is_refused(self) -> None:
        self.assertIn(f"write {_HERE}.Chat,room=", self.refused(f"{_HERE}.Chat"))

    def test_unknown_argument_is_refused(self) -> None:
        self.assertIn("did you mean room?", self.refused(f"{_HERE}.Chat,rom=1"))

    def test_factory_that_raises_is_told_with_file_and_line(self) -> None:
        problem = self.refused(f"{_HERE}.Chat,room=x,size=10")
        self.assertIn("test_behaviours.py, line ", problem)
        self.assertIn("ValueError: too large", problem)

    def test_factory_that_is_made_already_is_served_as_it_is(self) -> None:
        self.assertIs(factory(f"{_HERE}.made"), made)
        self.assertIn("made already", self.refused(f"{_HERE}.made,a=1"))


class Given(SynchronousTestCase):
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


class NotServable(Refusing):
    def test_class_that_is_neither(self) -> None:
        self.assertIn("neither a Protocol nor a Factory", self.refused(f"{_HERE}.NoProtocol"))

    def test_one_protocol_for_all(self) -> None:
        self.assertIn("one Protocol, not a class", self.refused(f"{_HERE}.one"))

    def test_function_module_and_value(self) -> None:
        self.assertIn("is a function", self.refused(f"{_HERE}.function"))
        self.assertIn("is a module", self.refused("tcplab.protocols"))
        self.assertIn("is a int", self.refused(f"{_HERE}.number"))
