"""The soak's cases of a fleet, in little: workers that die, restarts under load, PROXY headers."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from soak.__main__ import chosen
from tests.support.subprocess_server import ROOT
from tests.support.tiers import slow

CASES = "28,29,30,31,32,34,35"


class FleetTests(SynchronousTestCase):
    @slow
    def test_quick(self) -> None:
        with tempfile.TemporaryDirectory(prefix="tcplab") as folder:
            page = Path(folder) / "page.rst"
            words = ("-m", "soak", "--quick", "--cases", CASES, "--output", str(page))
            done = subprocess.run(
                [sys.executable, *words],
                cwd=ROOT,
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
        said = done.stderr
        self.assertIn(done.returncode, (0, 1), said)
        # Seconds are the machine's affair; who is lost, and what is left behind, is ours.
        self.assertNotIn("FAILED", said)
        self.assertEqual(re.findall(r"NOT MET .*: 0: .*", said), [])
        self.assertEqual(re.findall(r".*: [1-9]\d* tracebacks.*", said), [])
        self.assertEqual(said.count("no traceback, nothing left behind"), 7, said)

    def test_allAreThere(self) -> None:
        self.assertEqual(",".join(str(each.number) for each in chosen(CASES)), CASES)
