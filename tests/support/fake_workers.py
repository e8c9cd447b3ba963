"""Workers without processes: what they are told is kept, and a test says what they do."""

from __future__ import annotations

import signal
from typing import Any

from twisted.internet.error import ProcessDone, ProcessExitedAlready, ProcessTerminated
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from tcplab.workers.messages import WorkerConfig
from tcplab.workers.pool import WorkerPool
from tcplab.workers.scoreboard import Scoreboard
from tcplab.workers.workerprocess import WorkerProcess, WorkerState

CONFIG = WorkerConfig({}, (True,), 0, "a.reactor", "/")


class FakeProcess:
    """A process's transport."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.words: list[str] = []
        self.signals: list[str] = []
        self.gone = self.closed = False

    def writeToChild(self, descriptor: int, data: bytes) -> None:
        assert descriptor == CONFIG.commands
        if self.closed:
            raise KeyError(descriptor)  # as Twisted's own
        self.words.append(data.decode().strip())

    def signalProcess(self, name: str) -> None:
        if self.gone:
            raise ProcessExitedAlready
        self.signals.append(name)


class FakeSpawner:
    """
    Starts workers, up to a point.

    :ivar started: all that were.
    :ivar most: how many can be started in all.
    """

    most = 10000

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.board = Scoreboard(Scoreboard.create(60))
        self.started: list[WorkerProcess] = []
        self.freed: list[WorkerProcess] = []
        self.received: list[Any] = []

    def start(self, pool: Any, generation: int) -> WorkerProcess | None:
        if len(self.started) >= self.most:
            return None
        number = self.board.take()
        assert number is not None
        process = WorkerProcess(
            CONFIG,
            self.board.rows[number],
            generation,
            self.clock,
            pool.stateChanged,
            pool.pipesClosed,
            self.received.append,
        )
        self.started.append(process)
        process.transport = FakeProcess(len(self.started) + 100)  # type: ignore[assignment]
        process.connectionMade()
        return process

    def release(self, process: WorkerProcess) -> None:
        self.freed.append(process)


class PoolHelper:
    """A crew, and what its workers do."""

    clock: Clock
    spawned: FakeSpawner
    pool: WorkerPool

    def startPool(self, size: int = 2) -> None:
        self.clock = Clock()
        self.spawned = FakeSpawner(self.clock)
        self.pool = WorkerPool(size, self.spawned, self.clock)
        self.outcomes: list[Any] = []
        self.pool.allServing.wait().addBoth(self.outcomes.append)
        self.pool.start()

    def startServing(self, size: int = 2) -> None:
        """All of them serve, and one more is ready."""
        self.startPool(size)
        for process in self.spawned.started[:size]:
            self.say(process, "ready")
            self.say(process, "serves")
        self.clock.advance(1)
        self.say(self.spawned.started[-1], "ready")

    def say(self, process: WorkerProcess, word: str) -> None:
        process.childDataReceived(CONFIG.reports, f"{word}\n".encode())

    def transportOf(self, process: WorkerProcess) -> Any:
        return process.transport

    def words(self, process: WorkerProcess) -> list[str]:
        return list(self.transportOf(process).words)

    def die(self, process: WorkerProcess, status: int | None = None, received: bool = True) -> None:
        """Have one end, killed unless there is a status."""
        self.transportOf(process).gone = True
        if status is None:
            why: Any = ProcessTerminated(None, signal.SIGKILL, signal.SIGKILL)
        else:
            why = ProcessTerminated(status, None, status << 8) if status else ProcessDone(0)
        process.processExited(Failure(why))
        if received:
            process.processEnded(Failure(why))

    def stages(self) -> list[WorkerState]:
        return [each.state for each in self.pool.processes]

    def at(self, number: int) -> WorkerProcess:
        """Return who serves as this number."""
        [found] = [
            each
            for each in self.pool.processes
            if each.number == number and each.state is WorkerState.SERVING
        ]
        return found

    def beat(self, seconds: float, *heartbeatLost: WorkerProcess) -> None:
        """Let time pass in which all but some show signs of life."""
        for _ in range(int(seconds / 0.25)):
            for process in self.pool.processes:
                if process not in heartbeatLost:
                    process.row.heartbeat += 1
            self.clock.advance(0.25)
