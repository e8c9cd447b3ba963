"""One worker as the first process sees it: a process that is started, told, and ends."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from typing import Any

from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import LogEvent, Logger
from twisted.python.failure import Failure

from tcplab.workers.logpipe import LogReceiver
from tcplab.workers.messages import ABORT, LEAVE, READY, SERVE, SERVES, STOP, WorkerConfig
from tcplab.workers.scoreboard import BEAT, WorkerRow

log = Logger("tcplab.server.member")

#: Beats that it may miss: six seconds. A hook that computes for so long stops all its connections.
_SILENT = int(6 / BEAT)
#: And while it starts, on a machine that is busy: thirty.
_SLOW = int(30 / BEAT)
#: Seconds for what is still in its pipes when it has ended; who else has them may keep them.
_LAST = 1.0


class WorkerState(Enum):
    """How far a worker is."""

    STARTING = "starting"
    READY = "ready"
    ACTIVATING = "called"
    SERVING = "serving"
    DRAINING = "leaving"
    EXITED = "gone"


class WorkerProcess(ProcessProtocol):
    """
    One worker.

    :ivar state: how far it is.
    :ivar number: which of the workers it is; 0 until it is called to serve.
    :ivar servingSince: when it began to serve; ``None``: it has not.
    :ivar lastState: the stage in which it ended.
    :ivar status: what it ended with; ``None`` if it was killed by the signal ``killedBy``.
    :param config: what it is started with.
    :param row: of the scoreboard.
    :param generation: it was started after so many restarts.
    :param tell: called with us when we are in another stage; ``closed`` when all is heard.
    """

    def __init__(
        self,
        config: WorkerConfig,
        row: WorkerRow,
        generation: int,
        clock: Any,
        tell: Callable[[WorkerProcess], object],
        closed: Callable[[WorkerProcess], object],
        publish: Callable[[LogEvent], object],
    ) -> None:
        self.row = row
        self.config = config
        self.generation = generation
        self.state = WorkerState.STARTING
        self.number = 0
        self.servingSince: float | None = None
        self.pid = 0
        self.lastState = self.state
        self.status: int | None = None
        self.killedBy = ""
        self._clock = clock
        self._tell = tell
        self._closed: Callable[[WorkerProcess], object] | None = closed
        self._logReceiver = LogReceiver(self._said, publish)
        self._beats = 0, 0  # the last that was seen, and how often it was

    def __str__(self) -> str:
        name = f"worker {self.number}" if self.number else "a new worker"
        return f"{name} (pid {self.pid})"

    # What it is told

    def serve(self, number: int) -> None:
        """Have it serve."""
        self.number = number
        self._logReceiver.name = f"worker {number}"
        self.state = WorkerState.ACTIVATING
        self._say(SERVE)

    def leave(self) -> None:
        """Have it drain; the others go on."""
        self.state = WorkerState.DRAINING
        self._say(LEAVE)

    def stop(self) -> None:
        """Have it drain: all end."""
        if self.state in (WorkerState.STARTING, WorkerState.READY):
            self.discard()
        elif self.state is not WorkerState.EXITED:
            self.state = WorkerState.DRAINING
            self._say(STOP)

    def discard(self) -> None:
        """End it before it has served: nobody knows it."""
        self.state = WorkerState.DRAINING
        self.kill()

    def abort(self) -> None:
        """Have it end at once."""
        if self.state is not WorkerState.EXITED:
            self._say(ABORT)

    def kill(self) -> None:
        """End it whatever it does."""
        with suppress(ProcessExitedAlready):
            self.transport.signalProcess("KILL")  # type: ignore[union-attr]

    def _say(self, word: str) -> None:
        with suppress(KeyError):  # its pipe is closed already: it was killed, and we hear that next
            self.transport.writeToChild(self.config.commands, f"{word}\n".encode())  # type: ignore[union-attr]

    # What it does

    def connectionMade(self) -> None:
        """It runs."""
        self.pid = self.transport.pid  # type: ignore[union-attr]

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """It says something."""
        self._logReceiver.received(childFD, data, childFD == self.config.reports)

    def _said(self, word: str) -> None:
        if word == READY and self.state is WorkerState.STARTING:
            self.state = WorkerState.READY
        elif word == SERVES and self.state is WorkerState.ACTIVATING:
            self.state = WorkerState.SERVING
            self.servingSince = self._clock.seconds()
        else:
            return
        self._tell(self)

    def heartbeatLost(self) -> bool:
        """
        Tell, once, that it has shown no sign of life for too long; to be asked every `BEAT`.

        Beats are counted, not seconds: who stops a whole group of processes stops us as well.
        """
        last, times = self._beats
        beat = self.row.heartbeat
        self._beats = (beat, times + 1) if beat == last else (beat, 0)
        return self._beats[1] == (_SLOW if self.state is WorkerState.STARTING else _SILENT)

    # Its end

    def processExited(self, reason: Failure) -> None:
        """It has ended."""
        value: Any = reason.value
        self.status = value.exitCode
        self.killedBy = signal.Signals(value.signal).name if value.signal else ""
        self.lastState = self.state
        self.state = WorkerState.EXITED
        self._patience = self._clock.callLater(_LAST, self._allHeard)
        self._tell(self)

    def processEnded(self, reason: Failure) -> None:
        """All that it has said was heard."""
        if self._closed is not None:
            self._patience.cancel()
            self._allHeard()

    def _allHeard(self) -> None:
        closed, self._closed = self._closed, None
        if closed is not None:
            closed(self)
