"""Tests for ``python -m soak``: that it works, not what anything stands."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from soak.__main__ import chosen, parsed
from soak.scale import Scale
from tests.support.subprocess_server import ROOT
from tests.support.tiers import slow

QUICK = (sys.executable, "-m", "soak", "--quick")


class OptionsTests(SynchronousTestCase):
    def test_onlyAFullRunWritesTheDocumentation(self) -> None:
        page = ROOT / "docs" / "reliability.rst"
        for words, whole in (
            ([], True),
            (["--long"], True),
            (["--quick"], False),
            (["--cases", "1"], False),
        ):
            self.assertEqual(parsed(words).output == page, whole, words)

    def test_scales(self) -> None:
        self.assertEqual([parsed([]).scale, parsed([]).rounds], [Scale.USUAL, 1])
        self.assertEqual([parsed(["--long"]).scale, parsed(["--long"]).rounds], [Scale.LONG, 3])
        self.assertEqual(parsed(["--quick", "--rounds", "2"]).rounds, 2)

    def test_casesComeInOurOrder(self) -> None:
        self.assertEqual([each.number for each in chosen("26,4,1")], [1, 4, 26])

    def test_unknownCase(self) -> None:
        error = self.assertRaises(SystemExit, chosen, "1,99")
        self.assertEqual(str(error), "soak: not here: 99")


@slow
class RunTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="tcplab"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.environment = {**os.environ, "TMPDIR": str(self.folder)}

    def test_someCases(self) -> None:
        page = self.folder / "page.rst"
        done = subprocess.run(
            [*QUICK, "--cases", "1,4,26", "--output", str(page)],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        # 1 is a figure not met, of memory say: on a busy machine that is no fault of the soak.
        self.assertIn(done.returncode, (0, 1), done.stdout + done.stderr)
        self.assertNotIn("FAILED", done.stdout)
        self.assertEqual(done.stdout.count("no traceback, nothing left behind"), 3)
        self.assertIn("exchanges that lose a byte", page.read_text())
        self.assertEqual(list(self.folder.iterdir()), [page])

    def test_nothingIsLeftRunning(self) -> None:
        with subprocess.Popen(
            [*QUICK, "--cases", "2", "--output", str(self.folder / "page.rst")],
            cwd=ROOT,
            env=self.environment,
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
