"""Tests for ``python -m soak --quick``, and by it for labs under load."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.support.subprocess_server import ROOT, run, scratch
from tests.support.tiers import slow

QUICK = f"{sys.executable} -m soak --quick"

#: Every byte of an echo, cut messages, many connections, fuzz; workers.
USUAL, WORKERS = "1,2,4,26,36", "28,29,30,31,32,34,35"


@slow
class RunTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = scratch(self)
        self.page = self.folder / "page.rst"
        self.environment = {"TMPDIR": str(self.folder)}

    def soaked(self, cases: str) -> None:
        words = f"{QUICK} --cases {cases} --output {self.page}"
        done = run(words, environment=self.environment, limit=300)
        said = done.stderr.decode() + done.stdout.decode()
        # 1 is a figure not met: seconds and memory are the machine's affair, lost bytes are not.
        self.assertIn(done.returncode, (0, 1), said)
        self.assertNotIn("FAILED", said)
        self.assertEqual(
            re.findall(r"NOT MET .*(?:: 0|: all \S+|fails|: never)(?:: .*)?", said), []
        )
        self.assertEqual(re.findall(r".*: [1-9]\d* tracebacks.*", said), [])
        count = cases.count(",") + 1
        self.assertEqual(done.stdout.count(b"no traceback, nothing left behind"), count, said)
        self.assertEqual(list(self.folder.iterdir()), [self.page])

    def test_usual(self) -> None:
        self.soaked(USUAL)
        self.assertIn("exchanges that lose a byte", self.page.read_text())

    def test_workers(self) -> None:
        self.soaked(WORKERS)

    def test_nothingIsLeftRunning(self) -> None:
        with subprocess.Popen(
            [*QUICK.split(), "--cases", "2", "--output", self.page],
            cwd=ROOT,
            env={**os.environ, **self.environment},
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            self.addCleanup(process.kill)
            while not list(self.folder.glob("*/*/ports")):
                self.assertIsNone(process.poll())
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
            process.send_signal(signal.SIGTERM)
            assert process.stderr is not None
            self.assertIn("interrupted; every server is stopped", process.stderr.read())
        self.assertTrue(children)
        self.assertEqual([each for each in children.split() if Path(f"/proc/{each}").exists()], [])
        self.assertEqual(list(self.folder.iterdir()), [])
