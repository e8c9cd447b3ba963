"""Tests for `tests.support.tiers`."""

from __future__ import annotations

import unittest

from twisted.trial.runner import TestLoader
from twisted.trial.unittest import SynchronousTestCase

from tests.support.subprocess_server import run
from tests.support.tiers import TIERS, VARIABLE, each, processes, slow


def marked() -> dict[str, unittest.TestCase]:
    """Make tests with every mark; trial does not find them here."""

    class Plain(unittest.TestCase):
        def test_plain(self) -> None: ...

        @slow
        def test_slow(self) -> None: ...

        @processes
        def test_process(self) -> None: ...

    @slow
    class Slow(Plain): ...

    class Inherits(Slow): ...

    return {
        "plain": Plain("test_plain"),
        "slow": Plain("test_slow"),
        "process": Plain("test_process"),
        "inherited": Inherits("test_plain"),
    }


class MarkTests(SynchronousTestCase):
    """A mark decides to which tiers a test belongs."""

    def test_tiers(self) -> None:
        found = {
            name: {tier for tier, belongs in TIERS.items() if belongs(test)}
            for name, test in marked().items()
        }
        self.assertEqual(
            found,
            {
                "plain": {"quick", "test"},
                "slow": {"slow"},
                "process": {"test"},
                "inherited": {"slow"},
            },
        )


class NameTests(SynchronousTestCase):
    """Each test is found by its full name: it is all that a worker of trial is told."""

    def test_allOfThem(self) -> None:
        loader = TestLoader()
        for test in each(loader.loadByName("tests", recurse=True)):
            [found] = each(loader.loadByName(test.id()))
            self.assertIs(type(found), type(test), test.id())


@processes
class RunTests(SynchronousTestCase):
    def test_processInTheQuickTierIsAnError(self) -> None:
        words = "python -c 'import tests, subprocess; subprocess.run([\"true\"])'"
        for tier, fails in (("quick", True), ("test", False)):
            done = run(words, environment={VARIABLE: tier})
            self.assertEqual(b"is marked by @processes" in done.stderr, fails, done.stderr)

    def test_unknownTier(self) -> None:
        done = run("python -m tests quickly")
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"quick|test|slow", done.stderr)
