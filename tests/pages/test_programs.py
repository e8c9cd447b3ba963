"""The programs of some pages, run without their commands."""

from __future__ import annotations

import re
import sys
import unittest
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tcplab.testing import connected
from tests.support.rst_pages import page, programs
from tests.support.subprocess_server import ROOT

#: Pages whose programs are run here.
PROGRAMS = [page(f"docs/{name}.rst") for name in ("reference/python", "howto/twisted-tests")]


class ProgramsTests(SynchronousTestCase):
    """Every program in the pages works."""

    def setUp(self) -> None:
        self.patch(sys, "path", [str(ROOT / "examples"), *sys.path])
        self.addCleanup(sys.modules.pop, "shout", None)

    def made(self, name: str) -> Any:
        """Run the program that makes something of this name, and return that."""
        made = re.compile(rf"^(class )?{name}\b", re.MULTILINE)
        program = next(each for text in PROGRAMS for each in programs(text) if made.search(each))
        names: dict[str, Any] = {"__name__": "page"}
        exec(compile(program, "a page", "exec"), names)
        return names[name]

    def test_settingsOfAFactory(self) -> None:
        peer = connected(self.made("factory"))
        peer.write(b"hi\r\n")
        self.assertEqual(peer.value(), b"louder\r\nHI\r\n")

    def test_sharedState(self) -> None:
        room = self.made("ChatRoom")()
        ada, bob = connected(room), connected(room)
        ada.write(b"hi\n")
        self.assertEqual((ada.value(), bob.value()), (b"hi\n", b"hi\n"))
        ada.finish()
        self.assertEqual(len(room.members), 1)

    def passes(self, case: type[unittest.TestCase]) -> None:
        result = unittest.TestResult()
        unittest.defaultTestLoader.loadTestsFromTestCase(case).run(result)
        self.assertGreater(result.testsRun, 1)
        self.assertEqual([*result.errors, *result.failures], [])

    def test_testsOfYourOwn(self) -> None:
        self.passes(self.made("ShoutTests"))

    def test_aLabInATest(self) -> None:
        result = unittest.TestResult()
        self.made("ClientTests")("test_itTriesAgain").run(result)
        self.assertEqual((result.testsRun, result.errors, result.failures), (1, [], []))
