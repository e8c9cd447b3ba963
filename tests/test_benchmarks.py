"""Tests for ``benchmarks``: that it works, not how fast anything is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from docutils.core import publish_doctree
from docutils.nodes import entry, table
from twisted.trial.unittest import SynchronousTestCase

from benchmarks.building import compiler
from benchmarks.figures import Figures, Spread, spread
from benchmarks.picture import svg
from benchmarks.report import ratio, rst, text
from tests.support.subprocess_server import ROOT, run, scratch
from tests.support.tiers import slow
from tests.support.twistd_process import TWISTD

QUICK = f"{sys.executable} -m benchmarks --quick"
SVG = "{http://www.w3.org/2000/svg}"


def results(**settings: Any) -> dict[str, Any]:
    """Return made-up results: C does 100, then 200; the lab does half of it, and fails once."""
    rates = [("c", 0, 100.0), ("lab", 0, 50.0), ("c", 1, 200.0), ("lab", 1, 120.0)]
    measured: list[dict[str, Any]] = [
        {
            **{"load": "request-1", "contender": who, "round": number, "rate": rate},
            **{"p50": 10.0, "p99": 20.0, "cpu": 5.0, "generator": 0.5, "foreign": 0.0},
        }
        for who, number, rate in rates
    ]
    measured += [
        {"load": "request-1", "contender": "lab", "round": 2, "failed": "it <hung> & died"},
        {"load": "idle", "contender": "c", "round": 0, "rate": 48.0},
        {"load": "idle", "contender": "lab", "round": 0, "rate": 2000.0},
    ]
    return {
        "machine": dict.fromkeys(
            ("cpu", "cores", "kernel", "python", "twisted", "uvloop", "date"), "A & B"
        ),
        "rounds": 3,
        "seconds": 2.0,
        "notes": [],
        "baseline": "c",
        "contenders": {"c": "C", "lab": "tcplab"},
        "loads": {
            "request-1": {"title": "64 B", "kind": "request"},
            "idle": {"title": "memory", "kind": "idle"},
        },
        "measured": measured,
        **settings,
    }


class FiguresTests(SynchronousTestCase):
    def test_spread(self) -> None:
        self.assertEqual(spread([3.0, 1.0, 2.0]), Spread(2.0, 1.0, 3.0))
        self.assertIsNone(spread([]))
        self.assertEqual(Spread(1234.0, 5.0, 45.67).told(), "1234 (5.00\u201345.7)")

    def test_figures(self) -> None:
        figures = Figures(results())
        found = figures.ratio("request-1", "lab")  # to the same round
        assert found is not None
        self.assertEqual((found.low, found.high), (0.5, 0.6))
        self.assertIsNone(figures.ratio("idle", "lab"))  # memory has none
        self.assertEqual(figures.of("idle", "lab"), Spread(2000.0, 2000.0, 2000.0))
        # A failure is named, and does not count.
        self.assertEqual(figures.failures(), ["tcplab, 64 B, round 3: it <hung> & died"])
        self.assertEqual(figures.of("request-1", "lab"), Spread(85.0, 50.0, 120.0))

    def test_marks(self) -> None:
        made = results()
        made["measured"][0]["foreign"] = 0.2
        made["measured"][1]["generator"] = 0.97
        figures = Figures(made)
        self.assertEqual(figures.marks("request-1", "c"), "*")
        self.assertEqual(figures.marks("request-1", "lab"), "+")
        self.assertTrue(ratio(figures, "request-1", "lab").endswith("*+"))


class PagesTests(SynchronousTestCase):
    def test_text(self) -> None:
        told = text(Figures(results()))
        self.assertIn("0.55 (0.50\u20130.60)", told)
        self.assertIn("failed: tcplab", told)

    def test_rst(self) -> None:
        tables = list(publish_doctree(rst(Figures(results()))).findall(table))
        cells = [each.astext() for each in tables[0].findall(entry)]
        self.assertIn("0.55 (0.50\u20130.60)", cells)
        self.assertIn("2.00 (2.00\u20132.00) KB", cells)
        self.assertEqual(len(tables), 2)

    def test_picture(self) -> None:
        tree = ElementTree.fromstring(svg(Figures(results())))
        texts = [each.text for each in tree.iter(f"{SVG}text")]
        self.assertIn("0.55 (0.50\u20130.60)", texts)
        self.assertNotIn("memory", texts)

    def test_picture_of_a_server_that_always_failed(self) -> None:
        failed = [{"load": "request-1", "contender": "lab", "round": 0, "failed": "no"}]
        tree = ElementTree.fromstring(svg(Figures(results(measured=failed))))
        self.assertIn("failed", [each.text for each in tree.iter(f"{SVG}text")])


@slow
class CommandTests(SynchronousTestCase):
    """The command itself, on real sockets."""

    def setUp(self) -> None:
        self.folder = scratch(self)

    def run_(self, words: str = "", status: int = 0, **settings: str) -> str:
        command = f"{QUICK} --output {self.folder} {words}"
        done = run(command, environment=settings, limit=300)
        self.assertEqual(done.returncode, status, done.stderr)
        return done.stderr.decode()

    def measured(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads((self.folder / "latest.json").read_text())
        return loaded

    def test_all_loads_on_all_servers(self) -> None:
        if compiler() is None:
            raise self.skipTest("no C compiler")
        self.run_()
        found = self.measured()
        self.assertEqual(list(found["contenders"])[:2], ["c", "lab"])
        self.assertEqual(len(found["measured"]), len(found["contenders"]) * 9)
        # Memory may come from what was free already; all else has come over a socket.
        for each in found["measured"]:
            self.assertGreater(each["rate"], -1 if each["load"] == "idle" else 0, each)
        bars = ElementTree.parse(self.folder / "echo.svg").iter(f"{SVG}rect")
        self.assertEqual(len(list(bars)), (len(found["contenders"]) - 1) * 9)
        tables = publish_doctree((self.folder / "table.rst").read_text()).findall(table)
        self.assertEqual(len(list(tables)), 2)

    def test_without_a_compiler(self) -> None:
        said = self.run_("--servers lab,stock --loads request-1,storm", CC="/no/such/cc")
        self.assertIn("No C compiler: the C server is left out", said)
        self.assertEqual(self.measured()["baseline"], "stock")
        self.assertIn("+", (self.folder / "table.txt").read_text().splitlines()[-1])

    def test_another_checkout(self) -> None:
        """Its lab is measured beside this one, in the same run."""
        self.run_(f"--against {TWISTD[0]} --servers lab,before --loads request-1")
        found = [each["contender"] for each in self.measured()["measured"]]
        self.assertEqual(found, ["lab", "before"])

    def test_unknown_server(self) -> None:
        self.assertIn("not here: apache", self.run_("--servers apache", status=1))

    def test_nothing_is_left_running(self) -> None:
        words = f"--seconds 60 --loads request-1 --servers lab --output {self.folder}"
        environment = {**os.environ, "TMPDIR": str(self.folder)}
        with subprocess.Popen(
            [*QUICK.split(), *words.split()],
            cwd=ROOT,
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            self.addCleanup(process.kill)
            while not list(self.folder.glob("*/port")):
                self.assertIsNone(process.poll())
            server = [pid for pid in childrenOf(process.pid) if "twistd" in commandOf(pid)]
            self.assertEqual(len(server), 1)
            process.send_signal(signal.SIGTERM)
            assert process.stderr is not None
            self.assertIn("interrupted; every server is stopped", process.stderr.read())
        self.assertFalse(Path(f"/proc/{server[0]}").exists())
        self.assertEqual(list(self.folder.iterdir()), [])


def childrenOf(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def commandOf(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()
