"""Tests for `tcplab.config.optionparsers`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tcplab.config.errors import SettingsError
from tcplab.config.optionparsers import (
    Parser,
    count,
    escapedBytes,
    integer,
    oneOf,
    option,
    optionsOf,
    parsed,
    plainText,
    repeatable,
    seconds,
)
from tcplab.config.options import OPTIONS

_SECONDS = "give a number of seconds above 0, as in 2 or 0.5"
_COUNT = "give a whole number above 0, as in 100"


class ParserTests(SynchronousTestCase):
    def read(self, parser: Parser[Any], values: dict[str, object], *wrong: tuple[str, str]) -> None:
        for word, value in values.items():
            self.assertEqual(parser.read(word), value)
            self.assertIs(type(parser.read(word)), type(value))
        for word, problem in wrong:
            raised = self.assertRaises(ValueError, parser.read, word)
            self.assertEqual(str(raised), problem)

    def accepted(self, parser: Parser[Any], right: list[Any], *wrong: tuple[object, str]) -> None:
        for value in right:
            self.assertEqual(parser.accept(value), value)
        for value, problem in wrong:
            raised = self.assertRaises(ValueError, parser.accept, value)
            self.assertEqual(str(raised), problem)

    def test_seconds(self) -> None:
        wrong = "0", "-1", "nan", "inf", "1e999", "soon", "", "none", "٣"
        self.read(
            seconds(),
            {"2": 2.0, "0.5": 0.5, "1e3": 1000.0},
            *((word, f"{word}: {_SECONDS}") for word in wrong),
        )
        mistakes = 0, -0.1, math.nan, math.inf, True, None, "2"
        self.accepted(seconds(), [0.5, 3], *((each, f"{each!r}: {_SECONDS}") for each in mistakes))

    def test_count(self) -> None:
        wrong = "0", "-1", "2.5", "1e3", "nan", "inf", "", "many", "٣", "9" * 5000
        self.read(count(), {"7": 7}, *((word, f"{word}: {_COUNT}") for word in wrong))
        mistakes = 0, 2.5, True, None, "2"
        self.accepted(count(), [3], *((each, f"{each!r}: {_COUNT}") for each in mistakes))

    def test_mostOfACount(self) -> None:
        few = count(most=9, reason="they are few")
        self.read(few, {"9": 9}, ("10", "10: give 9 at most; they are few"))
        self.accepted(few, [9], (10, "10: give 9 at most; they are few"))

    def test_zero(self) -> None:
        problem = "-0.1: give a number of seconds from 0 up, as in 2 or 0.5"
        self.read(seconds(zero=True), {"0": 0.0}, ("-0.1", problem))
        self.accepted(seconds(zero=True), [0], (-0.1, problem))

    def test_noLimit(self) -> None:
        for parser, advice in ((seconds(none=True), _SECONDS), (count(none=True), _COUNT)):
            self.read(
                parser,
                {"none": None},
                ("off", f"off: {advice}, or none for no limit"),
                ("None", f"None: {advice}, or none for no limit (did you mean none?)"),
            )
            self.accepted(parser, [None], ("none", f"'none': {advice}, or None for no limit"))

    def test_integer(self) -> None:
        wrong = "", "-1", "1.5", "x", "\u0663", "100"
        few = integer(99, "too much")
        self.read(few, {"0": 0, "99": 99}, *((word, f"{word}: too much") for word in wrong))
        mistakes = -1, 100, 1.5, True, "1"
        self.accepted(few, [0, 99], *((each, f"{each!r}: too much") for each in mistakes))

    def test_texts(self) -> None:
        problem = "d: give a, bc"
        self.read(oneOf(("a", "bc")), {"a": "a"}, ("d", problem))
        self.accepted(oneOf(("a", "bc")), ["bc"], ("d", problem), (1, "1: give a text"))
        self.assertEqual(plainText(str.upper).accept("a"), "A")

    def test_bytes(self) -> None:
        empty = "is empty: more"
        self.read(escapedBytes("more"), {r"a\n": b"a\n", "é": "é".encode()}, ("", empty))
        self.assertRaises(ValueError, escapedBytes("").read, r"\q")
        mistake = "'a': give bytes, as in b'hello'"
        self.accepted(escapedBytes("more"), [b"a"], (b"", empty), ("a", mistake))

    def test_parsed(self) -> None:
        """A value in Python is the text, or the value itself."""
        number = parsed(int, int)
        self.assertEqual([number.read("1"), number.accept("2"), number.accept(3)], [1, 2, 3])
        self.accepted(number, [], (0.5, "0.5: give a text or a int"))

    @settings(deadline=None, derandomize=True)
    @given(st.text(max_size=20), st.sampled_from(sorted(OPTIONS)))
    def test_anything(self, word: str, name: str) -> None:
        """What can be typed is accepted in Python too, or neither."""
        known = OPTIONS[name]
        try:
            value = known.read([word] if known.repeatable else word)
        except SettingsError as e:
            self.assertTrue(str(e).startswith(f"{known.flag} "), str(e))
            return
        self.assertEqual(known.accept(value), value)


@dataclass
class Kept:
    plain: int = 1
    longTime: float | None = option("For [{}].", seconds(none=True), 5.0, letter="l", logged=True)
    noTime: float | None = option("For [{}].", seconds(none=True), None)
    words: tuple[str, ...] = repeatable("Some.", oneOf(("a", "b")), flag="word", letter="w")


class OptionTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.options = optionsOf(Kept)

    def test_fields(self) -> None:
        told = [(each.name, each.flag, each.letter, each.text) for each in self.options.values()]
        self.assertEqual(
            told,
            [
                ("longTime", "--long-time", "l", "For [5]."),
                ("noTime", "--no-time", None, "For [none]."),
                ("words", "--word", "w", "Some."),
            ],
        )
        self.assertEqual([each.logged for each in self.options.values()], [True, False, False])
        self.assertEqual(Kept().longTime, 5.0)

    def test_mistakesNameTheOption(self) -> None:
        time, words = self.options["longTime"], self.options["words"]
        for function, values, problem in (
            (time.read, ("0",), "--long-time 0: give "),
            (time.accept, (0,), "longTime 0: give "),
            (time.accept, (0, "its"), "its 0: give "),
            (words.read, (["a", "x"],), "--word x: give a, b"),
            (words.accept, (["a", "x"],), "words x: give a, b"),
            (words.accept, ("a",), "words 'a': give a list, as in words=['a']"),
        ):
            raised = self.assertRaises(SettingsError, function, *values)
            self.assertTrue(str(raised).startswith(problem), str(raised))

    def test_values(self) -> None:
        words = self.options["words"]
        self.assertEqual(words.read(["a", "b"]), ("a", "b"))
        self.assertEqual(words.accept(["a", "b"]), ("a", "b"))
