"""Tests for `tcplab.server.processsetup`."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from twisted.scripts.twistd import ServerOptions
from twisted.trial.unittest import SynchronousTestCase

from tcplab.config.errors import SettingsError
from tcplab.server.processsetup import prepareFiles, restrictLogMode
from tests.support.subprocess_server import ROOT
from tests.support.tiers import processes

EXITING = """
import atexit, sys
from tcplab.config.errors import SettingsError
from tcplab.server.processsetup import exitWith

atexit.register(print, "registered before")
exitWith(3)
sys.stdout.write("the end of the program\\n")
"""

COLLECTING = """
import gc, json, weakref
from tcplab.config.errors import SettingsError
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


class ProgramTests(SynchronousTestCase):
    """In processes of their own: what they do is for good."""

    def run_(self, program: str, status: int) -> str:
        words = [sys.executable, "-c", program]
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stderr), (status, ""))
        return done.stdout

    @processes
    def test_exitWith(self) -> None:
        """The status is set after everything that was registered before."""
        self.assertEqual(self.run_(EXITING, 3), "the end of the program\nregistered before\n")

    @processes
    def test_relaxGC(self) -> None:
        """What is there stays, and new objects are still collected."""
        self.assertEqual(json.loads(self.run_(COLLECTING, 0)), [True, True, True, True])


def options(*words: str) -> ServerOptions:
    """Parse twistd's own options, which precede ours."""
    found = ServerOptions()
    found.parseOptions([*words, "web"])
    return found


class OptionTests(SynchronousTestCase):
    def test_pidFile(self) -> None:
        """In the background, or where it is asked for."""
        for words, default, name in (
            (("-n",), True, ""),
            ((), True, "twistd.pid"),
            (("-n", "--pidfile", "my.pid"), False, "my.pid"),
        ):
            found = options(*words)
            if default:
                found["pidfile"] = found.defaults["pidfile"]
            prepareFiles(found)
            self.assertEqual(os.path.basename(found["pidfile"]), name)

    def test_files(self) -> None:
        """Twistd's log, pid file and folder are checked before anything is bound."""
        folder = os.path.abspath(self.mktemp())
        os.mkdir(folder)
        for words, why in (
            (("--logfile", f"{folder}/log", "--pidfile", f"{folder}/pid"), ""),
            (("--logfile", "-", "--pidfile", ""), ""),
            (("--logfile", "/gone/log"), "--logfile /gone/log: there is no folder /gone"),
            (("--pidfile", "/gone/pid"), "--pidfile /gone/pid: there is no folder /gone"),
            (("--rundir", "/gone"), "--rundir /gone: there is no such folder"),
            (("--chroot", "/gone", "--logfile", "/gone/log"), ""),
        ):
            found = options("-n", *words)
            if why:
                self.assertIn(why, str(self.assertRaises(SettingsError, prepareFiles, found)))
            else:
                prepareFiles(found)
        self.patch(os, "access", lambda path, mode: False)
        for path, why in (
            (f"{folder}/log", "no right to write in "),
            (folder, "no right to write "),
        ):
            problem = self.assertRaises(SettingsError, prepareFiles, options("--logfile", path))
            self.assertIn(f"--logfile {path}: {why}{folder}", str(problem))

    def test_pidFileIsALink(self) -> None:
        os.symlink("/etc/passwd", path := os.path.abspath(self.mktemp()))
        found = options("--pidfile", path)
        problem = str(self.assertRaises(SettingsError, prepareFiles, found))
        self.assertIn(f"--pidfile {path} is a link", problem)

    def test_logMode(self) -> None:
        """In the background the log is its owner's; the user may say otherwise."""
        for found, umask in (
            (options(), 0o077),
            (options("-n"), 0o022),
            (options("--umask", "027"), 0o022),
            ({}, 0o022),  # twist has no such options
        ):
            before = os.umask(0o022)
            restrictLogMode(found)
            self.assertEqual(os.umask(before), umask)
