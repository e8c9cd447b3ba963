"""Tests for ``soak.case`` and ``soak.cases``: verdicts, and what is skipped."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from soak.case import Case, Check
from soak.cases import CASES
from soak.figures import KIB, MIB, Verdict, none
from soak.lab import State
from soak.needs import Need
from soak.scale import Amount, Scale
from tests.support.subprocess_server import scratch

BEFORE = State(descriptors=10, connections=0, resident=40 * MIB)


class Plain(Case):
    number = 7
    title = "a case"
    amounts = Amount(1, 20, 300)

    def run(self) -> None:
        self.tell(f"{self.amount(self.amounts)} things", none("wrong", 0))


class Lacking(Plain):
    needs = (Need("gold", lambda: False), Need("air", lambda: True), Need("root", lambda: False))


class Broken(Plain):
    def run(self) -> None:
        super().run()
        raise ConnectionResetError("it has gone")


class CheckTests(SynchronousTestCase):
    def check(self, **after: int) -> Check:
        return Check(BEFORE, State(**{**vars(BEFORE), **after}), [], 2 * MIB)

    def test_whatIsMet(self) -> None:
        for after, met in (
            ({}, True),
            ({"resident": 42 * MIB}, True),
            ({"resident": 30 * MIB}, True),
            ({"resident": 42 * MIB + 4 * KIB}, False),
            ({"descriptors": 11}, False),
            ({"descriptors": 9}, False),
            ({"connections": 1}, False),
        ):
            self.assertEqual(self.check(**after).met, met, after)
        said = self.check(descriptors=12, resident=41 * MIB).measured
        self.assertEqual(said, "0 tracebacks, descriptors +2, connections +0, RSS +1.0 MiB")

    def test_traceback(self) -> None:
        check = Check(BEFORE, BEFORE, ["ValueError: oh"], 2 * MIB)
        self.assertFalse(check.met)
        self.assertIn("1 tracebacks (ValueError: oh)", check.measured)


class CaseTests(SynchronousTestCase):
    def test_rows(self) -> None:
        skipped = ("skipped: needs gold and root", Verdict.SKIPPED)
        failed = ("ConnectionResetError: it has gone", Verdict.FAILED)
        for kind, rows in (
            (Plain, [("0", Verdict.MET)]),
            (Lacking, [skipped]),
            (Broken, [("0", Verdict.MET), failed]),
        ):
            found = kind(Scale.QUICK, scratch(self)).carriedOut()
            self.assertEqual([(each.measured, each.verdict) for each in found], rows)

    def test_amountsGoByTheScale(self) -> None:
        found = [Plain(scale, Path()).amount(Plain.amounts) for scale in Scale]
        self.assertEqual(found, [1, 20, 300])


class CasesTests(SynchronousTestCase):
    def test_allAreThereInOrder(self) -> None:
        numbers = [each.number for each in CASES]
        wanted = [*range(1, 6), *range(9, 22), *range(24, 27), *range(28, 37), 39]
        self.assertEqual(numbers, wanted)

    def test_everyOneSaysWhatItIs(self) -> None:
        self.assertEqual([each for each in CASES if not each.__doc__ or not each.title], [])
        self.assertEqual(len({each.title for each in CASES}), len(CASES))
