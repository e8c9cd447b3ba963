"""Tests for ``python -m soak``: that it works, not what anything withstands."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from soak.__main__ import chosen, parsed
from soak.scale import Scale
from tests.support.subprocess_server import ROOT


class OptionsTests(SynchronousTestCase):
    def test_onlyAFullRunWritesTheDocumentation(self) -> None:
        page = ROOT / "docs" / "explanation" / "reliability.rst"
        for words, whole in (
            ([], True),
            (["--long"], True),
            (["--quick"], False),
            (["--cases", "1"], False),
        ):
            self.assertEqual(parsed(words).output == page, whole, words)

    def test_scales(self) -> None:
        self.assertEqual([parsed([]).scale, parsed([]).rounds], [Scale.USUAL, 1])
        self.assertEqual([parsed(["--long"]).scale, parsed(["--long"]).rounds], [Scale.LONG, 3])
        self.assertEqual(parsed(["--quick", "--rounds", "2"]).rounds, 2)

    def test_casesComeInOurOrder(self) -> None:
        self.assertEqual([each.number for each in chosen("26,4,1")], [1, 4, 26])

    def test_unknownCase(self) -> None:
        error = self.assertRaises(SystemExit, chosen, "1,99")
        self.assertEqual(str(error), "soak: not here: 99")
