"""Tests for ``soak.case`` and ``soak.cases``: verdicts, and what is skipped."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from soak.case import Case, Check
from soak.cases import CASES
from soak.figures import KIB, MIB, Verdict, none
from soak.lab import State
from soak.needs import Need
from soak.scale import Amount, Scale

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

    def test_asItWasIsMet(self) -> None:
        self.assertTrue(self.check().met)
        self.assertTrue(self.check(resident=42 * MIB).met)
        self.assertTrue(self.check(resident=30 * MIB).met)

    def test_anythingLeftBehindIsNot(self) -> None:
        for after in ({"descriptors": 11}, {"connections": 1}, {"resident": 42 * MIB + 4 * KIB}):
            self.assertFalse(self.check(**after).met)
        self.assertFalse(self.check(descriptors=9).met)

    def test_norIsATraceback(self) -> None:
        check = Check(BEFORE, BEFORE, ["ValueError: oh"], 2 * MIB)
        self.assertFalse(check.met)
        self.assertIn("1 tracebacks (ValueError: oh)", check.measured)

    def test_itSaysWhat(self) -> None:
        said = self.check(descriptors=12, resident=41 * MIB).measured
        self.assertEqual(said, "0 tracebacks, descriptors +2, connections +0, RSS +1.0 MiB")


class CaseTests(SynchronousTestCase):
    def rows(self, kind: type[Case], scale: Scale = Scale.QUICK) -> list[tuple[str, Verdict]]:
        folder = tempfile.mkdtemp(prefix="tcplab")
        self.addCleanup(shutil.rmtree, folder)
        found = kind(scale, Path(folder)).carriedOut()
        return [(each.measured, each.verdict) for each in found]

    def test_figuresBecomeRows(self) -> None:
        self.assertEqual(self.rows(Plain), [("0", Verdict.MET)])

    def test_whatIsMissingIsNamed(self) -> None:
        skipped = [("skipped: needs gold and root", Verdict.SKIPPED)]
        self.assertEqual(self.rows(Lacking), skipped)

    def test_aFailureIsARowAndKeepsTheOthers(self) -> None:
        failed = ("ConnectionResetError: it has gone", Verdict.FAILED)
        self.assertEqual(self.rows(Broken), [("0", Verdict.MET), failed])

    def test_amountsGoByTheScale(self) -> None:
        folder = Path()
        found = [Plain(scale, folder).amount(Plain.amounts) for scale in Scale]
        self.assertEqual(found, [1, 20, 300])


class CasesTests(SynchronousTestCase):
    def test_allAreThereInOrder(self) -> None:
        numbers = [each.number for each in CASES]
        wanted = [*range(1, 6), *range(9, 22), *range(24, 27), *range(28, 37), 39]
        self.assertEqual(numbers, wanted)

    def test_everyOneSaysWhatItIs(self) -> None:
        self.assertEqual([each for each in CASES if not each.__doc__ or not each.title], [])
        self.assertEqual(len({each.title for each in CASES}), len(CASES))
