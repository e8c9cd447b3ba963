"""The program of a worker."""

from __future__ import annotations

import io
import os
import signal
import sys
from types import ModuleType
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

import tcplab.workers.__main__ as program
from tcplab.server import processsetup
from tcplab.workers import worker
from tcplab.workers.messages import VARIABLE, WorkerConfig


class ProgramTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.patch(os, "environ", dict(os.environ))
        for number in (signal.SIGINT, signal.SIGHUP):
            self.addCleanup(signal.signal, number, signal.getsignal(number))
        self.addCleanup(os.chdir, os.getcwd())

    def test_byHand(self) -> None:
        self.patch(sys, "stderr", io.StringIO())
        self.assertEqual(program.main(), 2)
        self.assertIn("workers are started by twistd tcplab", sys.stderr.getvalue())  # type: ignore[attr-defined]

    def started(self, activated: int = 0) -> tuple[WorkerConfig, list[Any]]:
        done: list[Any] = []
        kind: Any = ModuleType("a_reactor")
        kind.install = lambda: done.append("installed")
        self.patch(sys, "modules", {**sys.modules, "a_reactor": kind})

        class FakeWorker:
            def __init__(self, config: WorkerConfig, reactor: object) -> None:
                done.append(config)

            def run(self) -> int:
                return 7

        self.patch(worker, "Worker", FakeWorker)
        self.patch(processsetup, "relaxGC", lambda: None)  # that would be for good
        folder = os.path.abspath(self.mktemp())
        os.mkdir(folder)
        config = WorkerConfig({}, (True,), 0, "a_reactor", folder, activated)
        os.environ[VARIABLE] = config.write()
        self.assertEqual(program.main(), 7)
        return config, done

    def test_started(self) -> None:
        """As its configuration says; the signals of a terminal are the supervisor's."""
        config, done = self.started()
        self.assertEqual(done, ["installed", config])
        self.assertEqual(os.getcwd(), config.folder)
        self.assertNotIn(VARIABLE, os.environ)
        self.assertNotIn("LISTEN_FDS", os.environ)
        for number in (signal.SIGINT, signal.SIGHUP):
            self.assertIs(signal.getsignal(number), signal.SIG_IGN)

    def test_systemd(self) -> None:
        self.started(2)
        found = {name: os.environ[name] for name in ("LISTEN_PID", "LISTEN_FDS")}
        self.assertEqual(found, {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "2"})
