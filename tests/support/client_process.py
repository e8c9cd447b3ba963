"""The command ``tcplab``, run as a process of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.support.thread_servers import PATIENCE
from tests.support.tiers import processes

Done = subprocess.CompletedProcess[bytes]
TCPLAB = [sys.executable, "-m", "tcplab"]


def tcplabs(*arguments: str, say: bytes = b"", **settings: Any) -> Done:
    """Run the command to its end."""
    if "stdin" not in settings:
        settings["input"] = say
    return subprocess.run(
        [*TCPLAB, *arguments],
        timeout=PATIENCE,
        check=False,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **settings},
    )


def start(*arguments: str, **settings: Any) -> Any:
    """Start the command."""
    settings = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **settings}
    return subprocess.Popen([*TCPLAB, *arguments], **settings)


@processes
class Running(SynchronousTestCase):
    """Run the command and look at what every end must have."""

    def assertEnded(self, done: Done, status: int, word: str) -> str:
        """Check the exit code, the first word of stderr, and that there is one line; return it."""
        lines = done.stderr.decode().splitlines()
        self.assertEqual(done.returncode, status, lines)
        self.assertEqual([line.split()[0] for line in lines], [word] if word else [], lines)
        return lines[0] if lines else ""

    def folder(self) -> str:
        path = tempfile.mkdtemp(prefix="tcplab")
        self.addCleanup(shutil.rmtree, path, True)
        return path
