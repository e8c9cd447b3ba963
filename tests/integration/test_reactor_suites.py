"""
Twisted's own tests for reactors, over the eager one.

Each of these suites is a builder of test cases for every reactor that Twisted knows; here it builds
them for ours, with the same skips as for its epoll reactor, of which ours is one.
"""

from __future__ import annotations

import importlib
import pathlib
import sys
from unittest import mock

from twisted.internet.test.reactormixins import ReactorBuilder
from twisted.trial.unittest import SynchronousTestCase

from tests.support.eager_name import EPollReactor
from tests.support.tiers import processes

MODULES = (
    "core",
    "endpoints",
    "fdset",
    "process",
    "socket",
    "stdio",
    "tcp",
    "threads",
    "time",
    "tls",
    "udp",
    "unix",
)


def suites() -> dict[str, type[SynchronousTestCase]]:
    """Build the test cases of every suite that runs over the epoll reactor."""
    found: dict[str, type[SynchronousTestCase]] = {}
    for name in MODULES:
        module = importlib.import_module(f"twisted.internet.test.test_{name}")
        for label, case in vars(module).items():
            if label.endswith("_EPollReactorTests"):
                (builder,) = (
                    each for each in case.__mro__ if each.__name__ == label.split("_EPoll")[0]
                )
                for title, built in builder.makeTestCaseClasses().items():
                    built.__module__ = __name__  # its full name leads here, not to Twisted's own
                    found[title] = processes(built) if name == "process" else built
    return found


with mock.patch.object(ReactorBuilder, "_reactors", [f"{EPollReactor.__module__}.EPollReactor"]):
    SUITES = suites()


def private(path: pathlib.Path) -> bool:
    """Whether users other than its owner cannot reach a file."""
    return any(not folder.stat().st_mode & 0o001 for folder in path.resolve().parents)


if private(pathlib.Path(sys.executable)):
    for case in SUITES.values():
        if hasattr(case, "test_changeUID"):
            case.test_changeUID.skip = "another user cannot run this interpreter"

globals().update(SUITES)


class SuiteTests(SynchronousTestCase):
    """The suites are there, and run what we made."""

    def test_allOfThem(self) -> None:
        """Every module has given some."""
        self.assertGreater(len(SUITES), 30)
        for name in ("TCPPortTestsBuilder", "UNIXTestsBuilder", "TCPTransportTestsBuilder"):
            self.assertTrue(any(name in each for each in SUITES), (name, sorted(SUITES)))

    def test_ours(self) -> None:
        """They run over the eager reactor, with its own transports."""
        for case in SUITES.values():
            self.assertIs(case.__dict__["reactorFactory"], EPollReactor)
