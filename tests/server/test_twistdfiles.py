"""The files that twistd writes beside us."""

from __future__ import annotations

import os

from twisted.scripts.twistd import ServerOptions
from twisted.trial.unittest import SynchronousTestCase

from tcplab.server.twistdfiles import closeLog, leaveOutPidFile


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
            leaveOutPidFile(found)
            self.assertEqual(os.path.basename(found["pidfile"]), name)

    def test_whereItWasAskedFor(self) -> None:
        found = options("-n", "--pidfile", "my.pid")
        leaveOutPidFile(found)
        self.assertEqual(os.path.basename(found["pidfile"]), "my.pid")


class Log(SynchronousTestCase):
    def umask(self, *words: str) -> int:
        before = os.umask(0o022)
        closeLog(options(*words))
        return os.umask(before)

    def test_inTheBackgroundItIsItsOwners(self) -> None:
        self.assertEqual(self.umask(), 0o077)

    def test_inTheForegroundItIsTheUsersAffair(self) -> None:
        self.assertEqual(self.umask("-n"), 0o022)

    def test_theUserHasSaidSo(self) -> None:
        self.assertEqual(self.umask("--umask", "027"), 0o022)

    def test_twistHasNoSuchOptions(self) -> None:
        before = os.umask(0o022)
        closeLog({})
        self.assertEqual(os.umask(before), 0o022)
