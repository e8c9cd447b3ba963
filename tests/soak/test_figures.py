"""Tests for ``soak.figures``."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from soak.figures import (
    Figure,
    Row,
    Verdict,
    atLeast,
    atMost,
    every,
    holds,
    none,
    percentile,
    told,
    worst,
)

NEVER = float("inf")


class FigureTests(SynchronousTestCase):
    def verdicts(self, *figures: Figure) -> list[Verdict]:
        return [each.row(1, "tried").verdict for each in figures]

    def test_theBoundItselfIsMet(self) -> None:
        met = (
            none("x", 0),
            atMost("x", 2, 2),
            atLeast("x", 2, 2),
            every("x", 5, 5),
            holds("x", True),
        )
        self.assertEqual(self.verdicts(*met), [Verdict.MET] * 5)

    def test_beyondItIsMissed(self) -> None:
        missed = (none("x", 1), atMost("x", 2.1, 2), atLeast("x", 1.9, 2), every("x", 4, 5))
        self.assertEqual(self.verdicts(*missed), [Verdict.MISSED] * 4)
        self.assertEqual(self.verdicts(holds("x", False)), [Verdict.MISSED])

    def test_neverIsMissed(self) -> None:
        self.assertEqual(self.verdicts(atMost("gone after", NEVER, 32, "s")), [Verdict.MISSED])

    def test_itSaysWhatIsAskedAndWhatWasMeasured(self) -> None:
        for figure, asked, measured in (
            (none("lost", 0), "lost: 0", "0"),
            (atMost("p99", 1.234, 20, "ms"), "p99: \u2264 20 ms", "1.23 ms"),
            (atLeast("served", 99.95, 99.9, "%"), "served: \u2265 99.9 %", "100.0 %"),
            (every("answered", 9, 10), "answered: all 10", "9"),
            (holds("a line", False), "a line", "no"),
            (atMost("gone after", NEVER, 2, "s"), "gone after: \u2264 2 s", "never"),
        ):
            self.assertEqual((figure.asked, figure.measured), (asked, measured))

    def test_numbersAreReadable(self) -> None:
        for value, text in (
            (1_000_000, "1,000,000"),
            (12.34, "12.3"),
            (0.5, "0.50"),
            (0.0123, "0.012"),
        ):
            self.assertEqual(told(value), text)


class PercentileTests(SynchronousTestCase):
    def test_itIsOneOfTheValues(self) -> None:
        self.assertEqual(percentile(range(100), 99), 99)
        self.assertEqual(percentile([3.0, 1.0, 2.0], 50), 2.0)
        self.assertEqual(percentile([7.0], 99), 7.0)

    def test_ofNothingItIsNever(self) -> None:
        self.assertEqual(percentile([], 99), NEVER)


class WorstTests(SynchronousTestCase):
    def rows(self, *values: float) -> list[list[Row]]:
        return [[atMost("p99", value, 20, "ms").row(1, "tried")] for value in values]

    def test_theWorstOfEachFigureIsTold(self) -> None:
        (row,) = worst(self.rows(5, 19, 7))
        self.assertEqual((row.measured, row.verdict), ("19 ms", Verdict.MET))
        (row,) = worst(self.rows(5, 21, 7))
        self.assertEqual((row.measured, row.verdict), ("21 ms", Verdict.MISSED))

    def test_ofThoseThatShouldBeLargeTheSmallest(self) -> None:
        rounds = [[atLeast("served", value, 90, "%").row(1, "tried")] for value in (99, 91, 95)]
        self.assertEqual(worst(rounds)[0].measured, "91 %")

    def test_aRoundThatFailedIsWorse(self) -> None:
        failed = Row(1, "tried", "", "it broke", Verdict.FAILED)
        found = worst([*self.rows(5), [failed]])
        self.assertEqual([each.verdict for each in found], [Verdict.MET, Verdict.FAILED])

    def test_howMuchWasDoneIsNoOtherFigure(self) -> None:
        """But two of one round are two, if only numbers tell them apart."""
        rounds = [
            [none("lost", lost).row(1, f"{much} GiB"), none("lost", 0).row(1, f"{much + 1} GiB")]
            for much, lost in ((175.9, 0), (90, 2), (1000, 1))
        ]
        self.assertEqual([each.measured for each in worst(rounds)], ["2", "0"])

    def test_differentFiguresStayApart(self) -> None:
        rows = [none("lost", 0).row(1, "tried"), none("wrong", 0).row(1, "tried")]
        self.assertEqual(worst([rows, rows]), rows)
