"""Tests for ``soak.figures``."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from soak.figures import (
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
    def test_theBoundItselfIsMet(self) -> None:
        for figure, verdict in (
            (none("x", 0), Verdict.MET),
            (atMost("x", 2, 2), Verdict.MET),
            (atLeast("x", 2, 2), Verdict.MET),
            (every("x", 5, 5), Verdict.MET),
            (holds("x", True), Verdict.MET),
            (none("x", 1), Verdict.MISSED),
            (atMost("x", 2.1, 2), Verdict.MISSED),
            (atMost("gone after", NEVER, 32, "s"), Verdict.MISSED),
            (atLeast("x", 1.9, 2), Verdict.MISSED),
            (every("x", 4, 5), Verdict.MISSED),
            (holds("x", False), Verdict.MISSED),
        ):
            self.assertEqual(figure.row(1, "tried").verdict, verdict, figure)

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
        for values, percent, found in (
            (range(100), 99, 99),
            ([3.0, 1.0, 2.0], 50, 2.0),
            ([7.0], 99, 7.0),
            ([], 99, NEVER),
        ):
            self.assertEqual(percentile(values, percent), found)


class WorstTests(SynchronousTestCase):
    def rows(self, *values: float) -> list[list[Row]]:
        return [[atMost("p99", value, 20, "ms").row(1, "tried")] for value in values]

    def test_theWorstOfEachFigureIsTold(self) -> None:
        for largest, verdict in ((19, Verdict.MET), (21, Verdict.MISSED)):
            (row,) = worst(self.rows(5, largest, 7))
            self.assertEqual((row.measured, row.verdict), (f"{largest} ms", verdict))
        # Of those that should be large, the smallest.
        rounds = [[atLeast("served", value, 90, "%").row(1, "tried")] for value in (99, 91, 95)]
        self.assertEqual(worst(rounds)[0].measured, "91 %")
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
