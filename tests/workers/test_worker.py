"""A worker, without a process of its own."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any

from twisted.internet.error import ReactorNotRunning
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import LogLevel

from tcplab.server.drain import Drained
from tcplab.workers import worker
from tcplab.workers.messages import EX_CONFIG, WorkerConfig
from tcplab.workers.scoreboard import Scoreboard, WorkerRow
from tcplab.workers.worker import Worker
from tests.support.log_capture import Logged


class FakeReactor(MemoryReactorClock):
    """
    Runs as long as a script does.

    :ivar script: what happens while it runs.
    """

    def __init__(self, script: Callable[[], object]) -> None:
        super().__init__()
        self.script = script
        self.stopping = False
        self.sigTerm = self.sigInt = object()

    def run(self) -> None:  # type: ignore[override]
        self.running = True
        for function, args, kwargs in self.whenRunningHooks:
            function(*args, **kwargs)
        self.script()

    def stop(self) -> None:
        if self.stopping:
            raise ReactorNotRunning
        self.stopping = True
        for function, args, kwargs in self.triggers["before"]["shutdown"]:
            function(*args, **kwargs)


class WorkerCase(Logged):
    serve = "echo@tcp:0"

    def setUp(self) -> None:
        super().setUp()
        self.patch(worker, "globalLogBeginner", self)
        self.reports: list[str] = []
        self.patch(worker, "LogSender", lambda descriptor: self)
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(self.socket.close)
        commands, self.first = os.pipe()
        self.memory = Scoreboard.create(4)
        self.patch(WorkerConfig, "sockets", [os.dup(self.socket.fileno())])
        self.patch(WorkerConfig, "board", self.memory)
        self.patch(WorkerConfig, "commands", commands)
        self.patch(WorkerConfig, "reports", commands)
        for each in (commands, self.first, self.memory):
            self.addCleanup(os.close, each)
        self.board = Scoreboard(self.memory)
        self.board.take()

    # In the place of a reporter, and of Twisted's log

    def beginLoggingTo(self, observers: Any) -> None:
        self.assertEqual(observers, [self])

    def sendState(self, word: str) -> None:
        self.reports.append(word)

    def finish(self) -> None:
        self.reports.append("finished")

    # One that runs

    def run_(self, script: Callable[[], object], owned: bool = True, **words: Any) -> int:
        words = {"serve": [self.serve], **words}
        self.reactor = FakeReactor(script)
        self.worker = Worker(WorkerConfig(words, (owned,), 0, "a.reactor", "/"), self.reactor)
        return self.worker.run()

    @property
    def row(self) -> WorkerRow:
        return self.board.rows[0]

    def told(self, *words: str, then: Callable[[], object] = lambda: None) -> int:
        def script() -> None:
            for word in words:
                self.worker.onCommand(word)
            then()
            self.reactor.pump([0.01] * 3)

        return self.run_(script)

    @property
    def service(self) -> Any:
        return self.worker._service


class ServeTests(WorkerCase):
    def test_serves(self) -> None:
        """It reports that it is ready, and serves when it is told to."""
        self.assertEqual(self.told(), 0)
        self.assertEqual(self.reports, ["ready", "finished"])
        self.assertGreater(self.row.heartbeat, 0)
        self.assertEqual(self.row.accepting, 0)
        self.told("serve", then=self.assertServes)
        self.assertEqual(self.reports[2:4], ["ready", "serves"])

    def assertServes(self) -> None:
        [listener] = self.service.listeners
        self.assertEqual(listener.host.port, self.socket.getsockname()[1])
        self.assertIn(listener.port, self.reactor.getReaders())
        self.assertEqual(self.row.accepting, 1)
        # The supervisor has logged it.
        self.assertEqual([each for each in self.lines() if "serving" in each], [])
        self.assertEqual([each for each in self.lines() if "limits" in each], [])

    def test_heartbeat(self) -> None:
        def script() -> None:
            self.row.heartbeat = 0
            self.reactor.advance(0.25)
            self.assertGreater(self.row.heartbeat, 0)

        self.run_(script)

    def test_badSettings(self) -> None:
        self.assertEqual(self.run_(self.fail, serve=["ecko@tcp:0"]), EX_CONFIG)
        self.assertIn("tcplab: there is no behaviour ecko", self.lines(LogLevel.critical)[0])
        self.assertEqual(self.reports, ["finished"])

    def test_cannotListen(self) -> None:
        for serve in ("echo@tcp:1", "echo@tpc:0"):
            with socket.create_server(("127.0.0.1", 0)) as another:
                self.patch(WorkerConfig, "sockets", [os.dup(another.fileno())])
                script = lambda: self.worker.onCommand("serve")  # noqa: E731
                self.assertEqual(self.run_(script, serve=[serve]), EX_CONFIG)
            self.assertIn(f"tcplab: --serve {serve}: ", self.lines(LogLevel.critical)[-1])
            self.assertTrue(self.reactor.stopping)

    def test_bug(self) -> None:
        self.patch(worker.AcceptBalancer, "watch", lambda *_: 1 / 0)
        self.assertEqual(self.told("serve"), 1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertTrue(self.reactor.stopping)


class EndTests(WorkerCase):
    def test_beforeServing(self) -> None:
        for word in ("stop", "leave"):
            self.assertEqual(self.told(word), 0)
            self.assertTrue(self.reactor.stopping)

    def ends(self, *words: str, owned: bool = True) -> bool:
        """Tell whether the port is shut down, when it has drained."""

        def script() -> None:
            for word in ("serve", *words):
                self.worker.onCommand(word)
            self.assertEqual(self.row.accepting, 0)
            self.reactor.pump([0.01] * 3)

        self.assertEqual(self.run_(script, owned=owned), 0)
        self.assertEqual(self.service.drained, Drained(0, 0))
        return not self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)

    def test_leaves(self) -> None:
        """The others go on."""
        self.assertFalse(self.ends("leave"))
        self.assertEqual(self.service.settings.drainDelay, 0)

    def test_allStop(self) -> None:
        """The port is shut down."""
        self.assertTrue(self.ends("stop"))

    def test_lentPort(self) -> None:
        """All stop but the process that has lent the port."""
        self.assertFalse(self.ends("stop", owned=False))

    def test_leavingAlready(self) -> None:
        self.assertFalse(self.ends("leave", "stop", "abort"))

    def test_supervisorGone(self) -> None:
        standard = [os.dup(each) for each in (1, 2)]

        def restore() -> None:
            for number, saved in enumerate(standard, 1):
                os.dup2(saved, number)
                os.close(saved)

        self.addCleanup(restore)

        def script() -> None:
            self.worker.onCommand("serve")
            self.worker._supervisorGone()
            self.reactor.pump([0.01] * 3)
            self.assertTrue(os.path.samestat(os.fstat(1), os.stat(os.devnull)))

        self.run_(script)
        self.assertFalse(self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))

    def test_outcome(self) -> None:
        """It is written into the scoreboard."""

        def drained() -> None:
            self.service.drained = Drained(4, 2)
            self.worker._drained(None, self.service)
            self.assertEqual((self.row.drained, self.row.aborted), (4, 2))

        self.told("serve", then=drained)

    def test_abort(self) -> None:
        aborted: list[None] = []

        def script() -> None:
            self.worker.onCommand("abort")
            self.worker.onCommand("serve")
            self.service.abort = lambda: aborted.append(None)
            self.worker.onCommand("abort")

        self.run_(script)
        self.assertEqual(len(aborted), 1)
