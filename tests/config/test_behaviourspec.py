"""SPEC and SPEC@ENDPOINT, as people type them."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tcplab.config.behaviourspec import BehaviourSpec, SpecError, parseServe, parseSpec

_KEYS = st.from_regex(r"[a-zA-Z]{1,8}", fullmatch=True)
# Without a backslash: what it means is up to the reader of the value.
_VALUES = st.text(st.characters(exclude_characters="\\", exclude_categories=["Cs"]), max_size=20)


def _escaped(value: str) -> str:
    for character in "@,=":
        value = value.replace(character, "\\" + character)
    return value


class ParseSpec(SynchronousTestCase):
    def arguments(self, text: str) -> dict[str, str]:
        return dict(parseSpec(text).arguments)

    def refused(self, text: str) -> str:
        problem = str(self.assertRaises(SpecError, parseSpec, text))
        self.assertNotIn("\n", problem)
        return problem

    def test_name_alone(self) -> None:
        self.assertEqual(parseSpec("lab"), BehaviourSpec("lab", (), "lab"))

    def test_keys_and_values_in_the_order_typed(self) -> None:
        spec = parseSpec("my.Chat,room=a b,size=3")
        self.assertEqual(spec.name, "my.Chat")
        self.assertEqual(spec.arguments, (("room", "a b"), ("size", "3")))

    def test_escaped_separators_are_part_of_the_value(self) -> None:
        self.assertEqual(self.arguments(r"x,k=a\,b\@c\=d"), {"k": "a,b@c=d"})

    def test_other_escapes_are_left_to_the_reader_of_the_value(self) -> None:
        self.assertEqual(self.arguments(r"x,k=a\nb\x00\:c"), {"k": r"a\nb\x00\:c"})

    def test_comma_after_a_doubled_backslash_separates(self) -> None:
        self.assertEqual(self.arguments("x,k=a\\\\,j=b"), {"k": "a\\\\", "j": "b"})

    def test_value_may_contain_an_equals_sign(self) -> None:
        self.assertEqual(self.arguments("x,to=tcp:h:timeout=3"), {"to": "tcp:h:timeout=3"})

    def test_value_may_be_empty(self) -> None:
        self.assertEqual(self.arguments("x,k="), {"k": ""})

    def test_shown_as_it_was_typed(self) -> None:
        self.assertEqual(str(parseSpec(r"x,k=a\,b")), r"x,k=a\,b")
        self.assertEqual(str(BehaviourSpec("lab")), "lab")

    def test_key_without_value_is_refused(self) -> None:
        self.assertIn("framing=value", self.refused("echo,framing"))

    def test_comma_with_nothing_after_it_is_refused(self) -> None:
        self.assertIn("key=value", self.refused("echo,"))

    def test_key_twice_is_refused(self) -> None:
        self.assertIn("a twice", self.refused("echo,a=1,a=2"))

    def test_no_name_is_refused(self) -> None:
        for text in ("", ",a=1", " ", "a b", "a=b"):
            self.assertIn("begins with no name", self.refused(text))

    def test_backslash_at_the_end_is_refused(self) -> None:
        self.assertIn("ends in a backslash", self.refused("echo,a=b\\"))

    def test_endpoint_is_refused_and_serve_suggested(self) -> None:
        self.assertIn("--serve", self.refused("echo@tcp:80"))

    @settings(deadline=None, derandomize=True)
    @given(st.dictionaries(_KEYS, _VALUES, max_size=4))
    def test_any_value_can_be_typed(self, values: dict[str, str]) -> None:
        text = "".join(f",{key}={_escaped(value)}" for key, value in values.items())
        self.assertEqual(self.arguments("name" + text), values)

    @settings(deadline=None, derandomize=True)
    @given(st.text(st.sampled_from("ab,=@\\ "), max_size=12))
    def test_anything_else_is_a_SpecError(self, text: str) -> None:
        try:
            spec, endpoint = parseServe(text)
        except SpecError:
            return
        self.assertTrue(spec.name and endpoint)
        self.assertEqual(f"{spec}@{endpoint}", text)


class ParseServe(SynchronousTestCase):
    def test_split_at_the_first_at_sign(self) -> None:
        spec, endpoint = parseServe("lab@unix:/a@b")
        self.assertEqual((spec.name, endpoint), ("lab", "unix:/a@b"))

    def test_escaped_at_sign_does_not_split(self) -> None:
        spec, endpoint = parseServe(r"lab,greeting=a\@b@tcp:1")
        self.assertEqual((dict(spec.arguments), endpoint), ({"greeting": "a@b"}, "tcp:1"))

    def test_endpoint_keeps_its_own_escapes(self) -> None:
        self.assertEqual(parseServe(r"lab@tcp6:1:interface=\:\:1")[1], r"tcp6:1:interface=\:\:1")

    def test_no_at_sign_is_refused_with_an_example(self) -> None:
        problem = str(self.assertRaises(SpecError, parseServe, "tcp:8888"))
        self.assertIn("echo@tcp:8888", problem)

    def test_no_endpoint_is_refused(self) -> None:
        self.assertIn("lab@tcp", str(self.assertRaises(SpecError, parseServe, "lab@")))

    def test_no_name_is_refused(self) -> None:
        self.assertRaises(SpecError, parseServe, "@tcp:8888")
