"""How the first process starts a worker."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from twisted.internet import reactor
from twisted.internet.interfaces import IListeningPort
from twisted.logger import LogLevel
from zope.interface import implementer

from tcplab.config.errors import SettingsError
from tcplab.config.options import fromWords
from tcplab.observers import Observers
from tcplab.server.service import LabService
from tcplab.workers import spawner
from tcplab.workers.messages import VARIABLE, WorkerConfig
from tcplab.workers.pool import WorkerPool
from tcplab.workers.spawner import WorkerSpawner
from tcplab.workers.workerprocess import WorkerProcess
from tests.support.fake_workers import FakeProcess
from tests.support.log_capture import Logged


class FakeReactor:
    """Starts no process, but remembers how it would have."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.descriptors: dict[int, Any] = {}
        self.problem: OSError | None = None

    def spawnProcess(self, *words: Any, childFDs: dict[int, Any]) -> None:
        if self.problem is not None:
            raise self.problem
        self.calls.append(words)
        self.descriptors = childFDs
        words[0].makeConnection(FakeProcess(77))

    def seconds(self) -> float:
        return 0.0


@implementer(IListeningPort)
class Elsewhere:
    """A port that is none of Twisted's own."""


class SpawnerTests(Logged):
    def setUp(self) -> None:
        super().setUp()
        self.reactor = FakeReactor()
        self.words = {"serve": ["echo@tcp:0:interface=127.0.0.1", "ack@tcp:0"]}
        self.lab = LabService(fromWords(**self.words), reactor, Observers())
        self.successResultOf(self.lab.listen())
        self.addCleanup(reactor.iterate)
        self.addCleanup(self.lab.drain)
        self.spawner = WorkerSpawner(self.words, self.reactor, self.lab.listeners, 2)
        self.pool = WorkerPool(2, self.spawner, self.reactor)

    def start(self) -> WorkerProcess:
        if self.spawner._board is None:
            self.spawner.prepare()
        process = self.spawner.start(self.pool, 3)
        assert process is not None
        return process

    @property
    def config(self) -> WorkerConfig:
        return WorkerConfig.read(self.reactor.calls[-1][3][VARIABLE])

    def test_program(self) -> None:
        """It has a program of its own, and is given all that it needs."""
        process = self.start()
        [(protocol, executable, words, _, folder)] = self.reactor.calls
        self.assertIs(protocol, process)
        self.assertEqual((executable, folder), (sys.executable, None))
        self.assertEqual(words, [sys.executable, "-P", "-m", "tcplab.workers"])
        self.assertEqual((process.generation, process.row.pid), (3, 77))
        config = self.config
        self.assertEqual((config.words, config.folder), (self.words, os.getcwd()))
        self.assertEqual((config.owned, config.row), ((True, True), 0))
        self.assertEqual(config.reactor, FakeReactor.__module__)

    def test_descriptors(self) -> None:
        self.start()
        descriptors, config = self.reactor.descriptors, self.config
        ports = [serving.port.fileno() for serving in self.lab.listeners]  # type: ignore[union-attr]
        self.assertEqual([descriptors[each] for each in config.sockets], ports)
        self.assertEqual([descriptors[each] for each in (1, 2, config.reports)], ["r"] * 3)
        self.assertEqual(descriptors[config.commands], "w")
        self.assertEqual(sorted(descriptors), list(range(len(descriptors))))

    def test_rows(self) -> None:
        self.assertEqual(self.spawner.connections, 0)
        first, second = self.start(), self.start()
        self.assertEqual([first.config.row, second.config.row], [0, 1])
        first.row.connections, second.row.connections = 2, 3
        self.assertEqual(self.spawner.connections, 5)
        self.spawner.release(first)
        self.assertEqual(self.spawner.connections, 3)
        self.assertEqual(self.start().config.row, 0)

    def test_noProcess(self) -> None:
        self.spawner.prepare()
        self.reactor.problem = OSError(11, "Resource temporarily unavailable")
        self.assertIsNone(self.spawner.start(self.pool, 0))
        problem = f"cannot start a worker, {sys.executable}: Resource temporarily unavailable"
        self.assertEqual(self.lines(LogLevel.warn), [problem])
        self.reactor.problem = None
        self.assertEqual(self.start().config.row, 0)

    def test_noRow(self) -> None:
        self.patch(spawner, "_ROWS", 0)
        self.spawner.prepare()
        self.assertIsNone(self.spawner.start(self.pool, 0))
        self.assertIn("too many old ones", self.lines(LogLevel.warn)[-1])

    def test_foreignPort(self) -> None:
        self.lab.listeners[0].port, port = Elsewhere(), self.lab.listeners[0].port  # type: ignore[assignment]
        problem = self.assertRaises(SettingsError, self.spawner.prepare)
        self.lab.listeners[0].port = port
        self.assertIn("tcp:0:interface=127.0.0.1 cannot be shared", str(problem))

    def test_path(self) -> None:
        self.patch(os, "environ", {**os.environ, "PYTHONPATH": "/there"})
        self.start()
        self.assertEqual(self.reactor.calls[-1][3]["PYTHONPATH"], "/there")
        root = spawner._ROOT
        self.assertTrue(os.path.exists(os.path.join(root, "tcplab", "workers", "spawner.py")))
        self.spawner._folder = root
        self.start()
        self.assertEqual(self.reactor.calls[-1][3]["PYTHONPATH"], f"{root}:/there")
        del os.environ["PYTHONPATH"]
        self.start()
        self.assertEqual(self.reactor.calls[-1][3]["PYTHONPATH"], root)

    def test_systemd(self) -> None:
        self.patch(spawner, "listenFDs", lambda: [3, 4])
        self.start()
        self.assertEqual(self.config.activated, 0)
        words = {"serve": ["echo@limit:max=1:systemd:domain=INET:index=0"]}
        settings = fromWords(**words)  # type: ignore[arg-type]
        self.lab.listeners[0].settings = settings.listeners[0]
        self.spawner.prepare()
        self.start()
        self.assertEqual(json.loads(self.reactor.calls[-1][3][VARIABLE])["activated"], 2)
        # Its endpoints close what they have adopted from, whatever that is.
        self.assertEqual(self.config.placeholders, [3, 4])
        descriptors = self.reactor.descriptors
        self.assertEqual({descriptors[3], descriptors[4]}, {self.spawner._devNull})
        self.assertEqual(sorted(descriptors), list(range(len(descriptors))))
