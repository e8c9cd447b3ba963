"""Tests for `tcplab.wire.keyvalue`."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tcplab.wire.keyvalue import (
    MAX_LENGTH,
    GivenTwice,
    NotKeyValue,
    lengthProblem,
    readArguments,
    split,
    unescapeSeparators,
)

_KEYS = st.from_regex(r"[a-zA-Z]{1,8}", fullmatch=True)
# Without a backslash: what it means is up to the reader of the value.
_VALUES = st.text(st.characters(exclude_characters="\\", exclude_categories=["Cs"]), max_size=20)


class KeyValueTests(SynchronousTestCase):
    def test_split(self) -> None:
        for text, parts in (
            ("a@b@c", ("a", "@", "b@c")),
            (r"a\@b@c", (r"a\@b", "@", "c")),
            (r"a\\@b", (r"a\\", "@", "b")),
            ("a\\", ("a\\", "", "")),
            ("", ("", "", "")),
        ):
            self.assertEqual(split(text, "@"), parts)

    def test_arguments(self) -> None:
        """A value may be empty, hold an equals sign and escaped commas; the order stays."""
        found = readArguments(r"b=x=1, a =,c=\,", str.strip)
        self.assertEqual([*found.items()], [("b", "x=1"), ("a", ""), ("c", r"\,")])

    def test_mistakes(self) -> None:
        for text, error, problem in (
            ("", NotKeyValue, "'' should read key=value"),
            ("a=1,b", NotKeyValue, "'b' should read b=value"),
            ("a=1,=2", NotKeyValue, "'=2' should read key=value"),
            ("a=1,b=2,a=3", GivenTwice, "a is given twice: give it once"),
        ):
            raised = self.assertRaises(error, readArguments, text, str.strip)
            self.assertEqual(str(raised), problem)
        raised = self.assertRaises(ValueError, unescapeSeparators, "a\\")
        self.assertEqual(str(raised), "ends in a backslash: write \\\\ for one")

    def test_manyArguments(self) -> None:
        """The time grows with the length only: a quadratic one would be a minute here."""
        text = ",".join(f"k{number}=" for number in range(9000))
        self.assertEqual(len(readArguments(text, str.strip)), 9000)
        self.assertEqual(lengthProblem("x" * MAX_LENGTH), "")
        problem = lengthProblem("x" * (MAX_LENGTH + 1))
        self.assertEqual(problem, f"'{'x' * 40}'... has 65537 characters: write at most 65536")

    def test_otherEscapesStay(self) -> None:
        self.assertEqual(unescapeSeparators(r"\,\@\=\n\\\:"), r",@=\n\\\:")

    @settings(deadline=None, derandomize=True)
    @given(st.dictionaries(_KEYS, _VALUES, min_size=1, max_size=4))
    def test_anyValueCanBeTyped(self, values: dict[str, str]) -> None:
        escaped = str.maketrans({each: f"\\{each}" for each in "@,="})
        text = ",".join(f"{key}={value.translate(escaped)}" for key, value in values.items())
        found = readArguments(text, str.strip)
        self.assertEqual({k: unescapeSeparators(v) for k, v in found.items()}, values)
