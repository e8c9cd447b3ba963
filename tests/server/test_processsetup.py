"""Tests for `tcplab.server.processsetup`."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from twisted.scripts.twistd import ServerOptions
from twisted.trial.unittest import SynchronousTestCase

from tcplab.server.processsetup import disablePidFile, restrictLogMode
from tests.support.subprocess_server import ROOT
from tests.support.tiers import processes

_PROGRAM = """
import atexit, sys
from tcplab.server.processsetup import exitWith

atexit.register(print, "asked for before")
exitWith(3)
sys.stdout.write("the end of the program\\n")
"""


class ExitWith(SynchronousTestCase):
    @processes
    def test_ends_with_the_status_after_all_that_was_asked_for(self) -> None:
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM], capture_output=True, text=True, timeout=60
        )
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertEqual(
            done.stdout.splitlines(),
            ["the end of the program", "asked for before"],
        )
        self.assertEqual(done.stderr, "")


# In a process of its own: it is for good.
PROGRAM = """
import gc, json, weakref
from tcplab.server.processsetup import relaxGC

class Circle:
    def __init__(self):
        self.round = self

lasting, early = [[] for _ in range(1000)], weakref.ref(Circle())
relaxGC()
frozen, looked = gc.get_freeze_count(), len(gc.get_objects())
late = weakref.ref(Circle())
many = [[] for _ in range(200_000)]
print(json.dumps([early() is None, frozen > 1000, looked < 1000, late() is None]))
"""


class CollectSeldomTests(SynchronousTestCase):
    @processes
    def test_whatIsThereStaysAndWhatComesIsStillCollected(self) -> None:
        words = [sys.executable, "-c", PROGRAM]
        done = subprocess.run(words, cwd=ROOT, capture_output=True, check=True, timeout=30)
        self.assertEqual(json.loads(done.stdout), [True, True, True, True])


def options(*words: str) -> ServerOptions:
    """Read what twistd is told, before our own words."""
    found = ServerOptions()
    found.parseOptions([*words, "web"])
    return found


class PidFile(SynchronousTestCase):
    def test_onlyInTheBackground(self) -> None:
        for words, name in ((("-n",), ""), ((), "twistd.pid")):
            found = options(*words)
            found["pidfile"] = found.defaults["pidfile"]
            disablePidFile(found)
            self.assertEqual(os.path.basename(found["pidfile"]), name)

    def test_whereItWasAskedFor(self) -> None:
        found = options("-n", "--pidfile", "my.pid")
        disablePidFile(found)
        self.assertEqual(os.path.basename(found["pidfile"]), "my.pid")


class Log(SynchronousTestCase):
    def umask(self, *words: str) -> int:
        before = os.umask(0o022)
        restrictLogMode(options(*words))
        return os.umask(before)

    def test_inTheBackgroundItIsItsOwners(self) -> None:
        self.assertEqual(self.umask(), 0o077)

    def test_inTheForegroundItIsTheUsersAffair(self) -> None:
        self.assertEqual(self.umask("-n"), 0o022)

    def test_theUserHasSaidSo(self) -> None:
        self.assertEqual(self.umask("--umask", "027"), 0o022)

    def test_twistHasNoSuchOptions(self) -> None:
        before = os.umask(0o022)
        restrictLogMode({})
        self.assertEqual(os.umask(before), 0o022)
