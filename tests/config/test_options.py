"""Amounts, as they are typed and as they are set."""

from __future__ import annotations

import math
from dataclasses import fields

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tcplab.config.options import AMOUNTS, Option
from tcplab.config.settings import Settings


class Read(SynchronousTestCase):
    def refused(self, amount: Option, word: str) -> str:
        problem = str(self.assertRaises(ValueError, amount.read, word))
        self.assertIn(f"{amount.option} {word}: give ", problem)
        return problem

    def test_seconds(self) -> None:
        amount = Option("longTime")
        self.assertEqual([amount.read(word) for word in ("2", "0.5", "1e3")], [2.0, 0.5, 1000.0])
        for word in ("0", "-1", "nan", "inf", "1e999", "soon", "", "none", "٣"):
            self.assertIn("a number of seconds above 0, as in 2 or 0.5", self.refused(amount, word))

    def test_count(self) -> None:
        amount = Option("manyThings", whole=True)
        value = amount.read("7")
        self.assertEqual(value, 7)
        self.assertIs(type(value), int)
        for word in ("0", "-1", "2.5", "1e3", "nan", "inf", "", "many", "٣", "9" * 5000):
            self.assertIn("a whole number above 0, as in 100", self.refused(amount, word))

    def test_zero_where_it_makes_sense(self) -> None:
        amount = Option("pause", mayBeZero=True)
        self.assertEqual(amount.read("0"), 0)
        self.assertIn("from 0 up", self.refused(amount, "-0.1"))

    def test_none_where_there_may_be_no_limit(self) -> None:
        amount = Option("longTime", mayBeNone=True)
        self.assertIsNone(amount.read("none"))
        for word in ("0", "off", ""):
            self.assertTrue(self.refused(amount, word).endswith(", or none for no limit"))
        self.assertIn("did you mean none?", self.refused(amount, "None"))

    @settings(deadline=None, derandomize=True)
    @given(st.text(max_size=20), st.sampled_from(list(AMOUNTS.values())))
    def test_anything_is_an_amount_that_makes_sense_or_a_ValueError(
        self, word: str, amount: Option
    ) -> None:
        try:
            value = amount.read(word)
        except ValueError:
            return
        amount.check(value)


class Check(SynchronousTestCase):
    def test_what_makes_sense(self) -> None:
        for amount, value in (
            (Option("a"), 0.5),
            (Option("a"), 3),
            (Option("a"), None),
            (Option("a", whole=True), 3),
            (Option("a", mayBeZero=True), 0),
        ):
            amount.check(value)

    def test_what_does_not(self) -> None:
        for amount, value in (
            (Option("a"), 0),
            (Option("a"), math.nan),
            (Option("a", mayBeZero=True), math.inf),
            (Option("a", whole=True), 2.5),
            (Option("a", whole=True), True),
        ):
            problem = str(self.assertRaises(ValueError, amount.check, value))
            self.assertIn(f"--a {value}: give ", problem)


class Names(SynchronousTestCase):
    def test_option(self) -> None:
        self.assertEqual(AMOUNTS["maxPerPeer"].option, "--max-per-peer")

    def test_each_is_a_setting_that_may_be_what_its_default_is(self) -> None:
        known = {field.name: field.default for field in fields(Settings)}
        for name, amount in AMOUNTS.items():
            amount.check(known[name])  # type: ignore[arg-type]
