"""Tests for ``soak.table`` and ``soak.page``."""

from __future__ import annotations

from docutils.core import publish_doctree
from docutils.nodes import entry, system_message, table
from twisted.trial.unittest import SynchronousTestCase

from soak.figures import Row, Verdict, atMost, none
from soak.page import page
from soak.table import line, rst, summary, text
from tests.support.subprocess_server import ROOT

ROWS = [
    none("exchanges that lose a byte", 0).row(1, "10,000 half-closes"),
    atMost("p99", 25, 20, "ms").row(1, "10,000 half-closes"),
    Row(24, "peers that are gone", "", "skipped: needs nft", Verdict.SKIPPED),
    Row(5, "`services` *and* |more_", "", "Trouble: a \\ in it", Verdict.FAILED),
]
MACHINE = dict.fromkeys(("cpu", "cores", "kernel", "python", "twisted", "date"), "A * B")


class TextTests(SynchronousTestCase):
    def test_rows(self) -> None:
        told = text(ROWS)
        for part in ("lose a byte", "25 ms", "NOT MET", "skipped: needs nft", "FAILED"):
            self.assertIn(part, told)
        self.assertEqual(told.count("10,000 half-closes"), 1)
        long = none("something that is asked for " * 5, 0).row(1, "what was done " * 20)
        self.assertLessEqual(max(map(len, text([long]).splitlines())), 150)
        self.assertEqual(line(ROWS[1]), "  1 NOT MET  10,000 half-closes; p99: \u2264 20 ms: 25 ms")
        self.assertEqual(summary(ROWS), "1 met, 1 NOT MET, 1 skipped, 1 FAILED")


class PageTests(SynchronousTestCase):
    def test_cellsAreTakenAsTheyAre(self) -> None:
        (found,) = publish_doctree(rst(ROWS)).findall(table)
        cells = [each.astext() for each in found.findall(entry)]
        self.assertIn("`services` *and* |more_", cells)
        self.assertIn("Trouble: a \\ in it", cells)
        self.assertEqual(len(cells), 5 * (1 + len(ROWS)))

    def test_thePageIsInOrder(self) -> None:
        tree = publish_doctree(
            page(ROWS, MACHINE, ["A note."]), settings_overrides={"report_level": 1}
        )
        self.assertEqual(list(tree.findall(system_message)), [])
        self.assertIn("Measured on A * B, A * B cores", tree.astext())

    def test_theOneThatIsKeptIsInOrder(self) -> None:
        kept = ROOT / "docs" / "explanation" / "reliability.rst"
        tree = publish_doctree(kept.read_text(), settings_overrides={"report_level": 1})
        self.assertEqual(list(tree.findall(system_message)), [])
