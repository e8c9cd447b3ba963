"""Tests for `tcplab.listener.policy`."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tcplab.listener.policy import Guards, Timed, goodbye, tell


class Doorman:
    """Refuse everybody with these words, and note whom."""

    def __init__(self, words: bytes | None) -> None:
        self.words = words
        self.asked: list[object] = []

    def admit(self, address: object) -> bytes | None:
        self.asked.append(address)
        return self.words


class Counter:
    """Note who is gone."""

    def __init__(self) -> None:
        self.gone: list[object] = []

    def connectionGone(self, transport: object) -> None:
        self.gone.append(transport)


class Broken:
    """Fail whatever happens."""

    def __getattr__(self, name: str) -> Any:
        def fail(about: object) -> None:
            raise RuntimeError(name)

        return fail


class GuardsTests(SynchronousTestCase):
    """Each is told what it wants to be told, as long as it is there."""

    def setUp(self) -> None:
        self.guards = Guards()

    def test_hooks(self) -> None:
        """A guard has only the methods that it needs."""
        doorman, counter = Doorman(None), Counter()
        self.guards.append(doorman)
        self.guards.append(counter)
        self.assertEqual(self.guards.admitting, [(doorman, doorman.admit)])
        self.assertEqual(self.guards.leaving, [(counter, counter.connectionGone)])
        self.assertEqual((self.guards.accepting, self.guards.opening), ([], []))

    def test_removed(self) -> None:
        """One that is removed is told nothing more; it is a list still."""
        counter = Counter()
        self.guards.append(counter)
        self.guards.remove(counter)
        tell(self.guards.leaving, "somebody")
        self.assertEqual((counter.gone, self.guards), ([], []))
        self.assertRaises(ValueError, self.guards.remove, counter)

    def test_refused(self) -> None:
        """The first who refuses has the last word."""
        first, second, third = Doorman(None), Doorman(b"busy"), Doorman(b"no")
        for each in (first, second, third):
            self.guards.append(each)
        self.assertEqual(goodbye(self.guards.admitting, "address"), b"busy")
        self.assertEqual((first.asked, third.asked), (["address"], []))

    def test_admitted(self) -> None:
        """Nobody is refused whom no guard refuses."""
        self.guards.append(Doorman(None))
        self.assertIs(goodbye(self.guards.admitting, "address"), None)

    def test_broken(self) -> None:
        """A guard's bug is logged, and nobody's fault: the others are asked and told."""
        counter = Counter()
        for each in (Broken(), Doorman(b"busy"), counter):
            self.guards.append(each)
        self.assertEqual(goodbye(self.guards.admitting, "address"), b"busy")
        tell(self.guards.leaving, "somebody")
        self.assertEqual(counter.gone, ["somebody"])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 2)


class TimedTests(SynchronousTestCase):
    def test_itsOwnClock(self) -> None:
        timed = Timed()
        timed._clock = clock = Clock()
        self.assertIs(timed._time(), clock)

    def test_theGlobalReactor(self) -> None:
        self.assertIs(Timed()._time(), reactor)
