"""Settings' values, as they are typed."""

from __future__ import annotations

from typing import Any, Optional

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tcplab.config.values import framingOf, hintsOf, kindOf, valueOf
from tcplab.wire.framing import Lines


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
