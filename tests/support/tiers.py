"""
The tiers of the tests.

A class of tests, or one test, is marked by `slow` or by `processes`; classes inherit their marks.
``python -m tests TIER [option of trial ...]`` runs one of these:

``quick``
    what starts no process and is not slow: for work at the keyboard.
``test``
    what is not slow.
``slow``
    the rest: workers, rolling restarts, real servers, benchmarks.

``trial tests`` and pytest read no marks, and run everything.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from typing import Any, TypeVar
from unittest import TestCase

from twisted.trial.runner import TestLoader

_Marked = TypeVar("_Marked", bound=Callable[..., Any])

#: Tells the processes in which a tier's tests run which tier it is.
VARIABLE = "TCPLAB_TIER"

#: What the interpreter calls the ways to start a process.
_STARTS = frozenset(
    {"subprocess.Popen", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.system"}
)


def slow(tests: _Marked) -> _Marked:
    """Mark a class, or one test, that takes seconds: ``make test`` leaves it out."""
    tests.isSlow = True  # type: ignore[attr-defined]
    return tests


def processes(tests: _Marked) -> _Marked:
    """Mark a class, or one test, that starts a process: ``make quick`` leaves it out."""
    tests.startsProcesses = True  # type: ignore[attr-defined]
    return tests


def _marked(test: TestCase, mark: str) -> bool:
    method = getattr(test, getattr(test, "_testMethodName", ""), None)
    return getattr(method, mark, getattr(test, mark, False))


TIERS: dict[str, Callable[[TestCase], bool]] = {
    "quick": lambda test: not _marked(test, "isSlow") and not _marked(test, "startsProcesses"),
    "test": lambda test: not _marked(test, "isSlow"),
    "slow": lambda test: _marked(test, "isSlow"),
}


def names(tier: str, package: str = "tests") -> list[str]:
    """
    Return the full names of the tests of a tier.

    A module that cannot be imported counts as a test without marks, which trial reports.
    """
    suite = TestLoader().loadByName(package, recurse=True)
    return [test.id() for test in each(suite) if TIERS[tier](test)]


def each(suite: Any) -> Iterator[TestCase]:
    """Yield the tests of a suite, and of those in it."""
    try:
        tests = iter(suite)
    except TypeError:
        yield suite
        return
    for test in tests:
        yield from each(test)


def forbidProcesses() -> None:
    """Let what starts a process fail from now on, if this process runs the quick tier."""
    if os.environ.get(VARIABLE) == "quick":
        sys.addaudithook(_refuse)


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    # ctypes asks ldconfig for the C library while Twisted's own tests are imported.
    if event in _STARTS and arguments[:1] != ("/sbin/ldconfig",):
        raise AssertionError(f"{event}: a test that starts a process is marked by @processes")
