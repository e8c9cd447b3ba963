"""Tests for `tcplab.config.observernames`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tcplab.config.errors import SettingsError
from tcplab.config.observernames import makeObserver, observerClass
from tcplab.entrypoints import OBSERVERS
from tests.support.user_modules import install

MODULE = """
from tcplab.observers import Observer

class Count(Observer): pass
class Plain:
    def faultHit(self, connection, text): pass
class Hookless: pass
class Needs(Observer):
    def __init__(self, file): pass
class Raises(Observer):
    def __init__(self): raise OSError("disk full")
function = Count
one = Count()
"""


class ObserverNameTests(SynchronousTestCase):
    def setUp(self) -> None:
        install(self, {OBSERVERS: "count = on_mine:Count\ngone = on_gone:X"}, on_mine=MODULE)

    def test_found(self) -> None:
        """A registered name, or a dotted one; the base class is optional."""
        self.assertIs(observerClass("count"), observerClass("on_mine.Count"))
        for name in ("count", "on_mine.Plain"):
            self.assertIsInstance(makeObserver(name), observerClass(name))  # type: ignore[arg-type]

    def test_refused(self) -> None:
        for name, problem in (
            ("cuont", "there is no observer cuont (did you mean count?): use count, gone, or pack"),
            ("on_mine.Cuont", "on_mine has no Cuont (did you mean Count?)"),
            ("gone", "gone, which my-package registers as on_gone:X, cannot be loaded: "),
            ("on_mine.Hookless", "has no hook: define one of connectionClosed, connectionOpened"),
            ("on_mine.one", "is no class"),
            ("on_mine.Needs", "cannot be made without file"),
            ("on_mine.Raises", "on_mine.py, line 11: OSError: disk full: mend it"),
        ):
            error = str(self.assertRaises(SettingsError, makeObserver, name))
            self.assertIn(problem, error)
            self.assertNotIn("\n", error)
