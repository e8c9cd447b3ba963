"""A worker process, as the supervisor sees it: commands, state, log, exit."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import suppress
from enum import Enum

from twisted.internet.error import ProcessDone, ProcessExitedAlready, ProcessTerminated
from twisted.internet.interfaces import IDelayedCall, IProcessTransport, IReactorTime
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import LogEvent
from twisted.python.failure import Failure

from tcplab.workers.logpipe import LogReceiver
from tcplab.workers.messages import ABORT, LEAVE, READY, SERVE, SERVES, STOP, WorkerConfig
from tcplab.workers.scoreboard import BEAT, WorkerRow

#: Heartbeats that a worker may miss: six seconds. A hook that computes for so long stops all its
#: connections.
_MAX_MISSED = int(6 / BEAT)
#: And while it starts, on a busy machine: thirty.
_MAX_MISSED_STARTING = int(30 / BEAT)
#: Seconds for what is still in the pipes of a process that has exited. Another process may hold
#: their other end.
_PIPE_TIMEOUT = 1.0


class WorkerState(Enum):
    """How far a worker is; it goes down this list, and may skip states."""

    STARTING = "starting"
    READY = "ready"
    ACTIVATING = "activating"
    SERVING = "serving"
    DRAINING = "draining"
    EXITED = "exited"


class WorkerProcess(ProcessProtocol):
    """
    One worker process.

    :ivar state: how far it is.
    :ivar number: which of the workers it is; 0 until it is commanded to serve.
    :ivar servingSince: when it began to serve; ``None`` if it has not.
    :ivar lastState: the state in which it exited.
    :ivar status: its exit status; ``None`` if it was killed by the signal ``killedBy``.
    :param config: what it is started with.
    :param row: its row of the scoreboard.
    :param generation: it was started after so many restarts.
    :param clock: keeps the time.
    :param onState: called with this object when its state has changed.
    :param onClosed: called with this object when everything it wrote was received.
    :param publish: called with each event of its log.
    """

    transport: IProcessTransport
    _pipeTimeout: IDelayedCall

    def __init__(
        self,
        config: WorkerConfig,
        row: WorkerRow,
        generation: int,
        clock: IReactorTime,
        onState: Callable[[WorkerProcess], object],
        onClosed: Callable[[WorkerProcess], object],
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
        self._onState = onState
        self._onClosed = onClosed
        self._logReceiver = LogReceiver(self._stateReceived, publish)
        self._lastBeat = self._missedBeats = 0

    def __str__(self) -> str:
        name = f"worker {self.number}" if self.number else "a new worker"
        return f"{name} (pid {self.pid})"

    # Commands

    def serve(self, number: int) -> None:
        """Let it serve."""
        self.number = number
        self._logReceiver.name = f"worker {number}"
        self.state = WorkerState.ACTIVATING
        self._send(SERVE)

    def leave(self) -> None:
        """Let it drain; the other workers go on."""
        self.state = WorkerState.DRAINING
        self._send(LEAVE)

    def stop(self) -> None:
        """Let it drain, as all workers do."""
        if self.state in (WorkerState.STARTING, WorkerState.READY):
            self.discard()
        elif self.state is not WorkerState.EXITED:
            self.state = WorkerState.DRAINING
            self._send(STOP)

    def discard(self) -> None:
        """Kill it before it has served."""
        self.state = WorkerState.DRAINING
        self.kill()

    def abort(self) -> None:
        """Let it abort its connections."""
        if self.state is not WorkerState.EXITED:
            self._send(ABORT)

    def kill(self) -> None:
        """Kill it, unless it has exited."""
        with suppress(ProcessExitedAlready):
            self.transport.signalProcess("KILL")

    def _send(self, command: str) -> None:
        with suppress(KeyError):  # the pipe is closed: it was killed, and its exit is reported next
            self.transport.writeToChild(self.config.commands, f"{command}\n".encode())

    # What it sends

    def connectionMade(self) -> None:
        """Note its process number: it runs."""
        self.pid = self.transport.pid

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """Receive its log and its state."""
        self._logReceiver.received(childFD, data, childFD == self.config.reports)

    def _stateReceived(self, word: str) -> None:
        if word == READY and self.state is WorkerState.STARTING:
            self.state = WorkerState.READY
        elif word == SERVES and self.state is WorkerState.ACTIVATING:
            self.state = WorkerState.SERVING
            self.servingSince = self._clock.seconds()
        else:
            return
        self._onState(self)

    def heartbeatLost(self) -> bool:
        """
        Tell, once, that too many heartbeats are missing; to be called every `BEAT` seconds.

        Calls are counted, not seconds: a program that stops a whole group of processes stops the
        supervisor as well.
        """
        last, self._lastBeat = self._lastBeat, self.row.heartbeat
        self._missedBeats = self._missedBeats + 1 if self._lastBeat == last else 0
        starting = self.state is WorkerState.STARTING
        return self._missedBeats == (_MAX_MISSED_STARTING if starting else _MAX_MISSED)

    # Its exit

    def processExited(self, reason: Failure) -> None:
        """Note how it has exited."""
        if isinstance(reason.value, ProcessDone | ProcessTerminated):
            self.status = reason.value.exitCode
            number = reason.value.signal
            self.killedBy = signal.Signals(number).name if number else ""
        self.lastState = self.state
        self.state = WorkerState.EXITED
        self._pipeTimeout = self._clock.callLater(_PIPE_TIMEOUT, self._onClosed, self)
        self._onState(self)

    def processEnded(self, reason: Failure) -> None:
        """Report that it has exited and its pipes are closed."""
        if self._pipeTimeout.active():
            self._pipeTimeout.cancel()
            self._onClosed(self)
