"""Tests for `tcplab.windows`."""

from __future__ import annotations

from io import StringIO
from unittest import TestCase, mock

from tcplab import windows
from tests.support.subprocess_server import run
from tests.support.tiers import processes

#: Starts a command where there is nothing of POSIX, once Twisted itself is imported.
WINDOWS = """
import os, sys, twisted.scripts.twistd
sys.modules.update(dict.fromkeys(("fcntl", "termios", "resource", "pwd", "grp")))
os.name = "nt"
from {} import {} as run
run()
"""


class WindowsTests(TestCase):
    """It has no fcntl, termios, resource, and no Unix sockets in Python."""

    def test_refused(self) -> None:
        """The plugin's options refuse whatever stands behind them."""
        stderr = self.enterContext(mock.patch("sys.stderr", StringIO()))
        with self.assertRaises(SystemExit) as raised:
            windows.Options().parseOptions(["--help"])
        self.assertEqual(raised.exception.code, 2)
        self.assertRegex(stderr.getvalue(), r"\Atcplab: needs Linux or macOS.* WSL.*\n\Z")


@processes
class CommandTests(TestCase):
    def test_oneLine(self) -> None:
        for module, name, words in (
            ("tcplab.__main__", "main", "connect localhost"),
            ("twisted.scripts.twistd", "run", "-n tcplab --port 0"),
        ):
            with self.subTest(module):
                ended = run(f"python -c '{WINDOWS.format(module, name)}' {words}")
                self.assertEqual(ended.returncode, 2, ended)
                self.assertRegex(ended.stderr.decode(), r"\Atcplab: needs Linux or macOS[^\n]*\n\Z")
