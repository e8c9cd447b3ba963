"""The exit status of a process whose main program chooses none."""

from __future__ import annotations

import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

_PROGRAM = """
import atexit, sys
from tcplab.server.exitstatus import exitWith

atexit.register(print, "asked for before")
exitWith(3)
sys.stdout.write("the end of the program\\n")
"""


class ExitWith(SynchronousTestCase):
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
