"""The pool of workers: enough of them serve, a spare is ready, a restart replaces them."""

from __future__ import annotations

from typing import Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from tcplab.config.errors import SettingsError
from tcplab.listener.oneshot import OneShot
from tcplab.server.drain import Drained
from tcplab.workers.backoff import RestartBackoff
from tcplab.workers.messages import EX_CONFIG
from tcplab.workers.scoreboard import BEAT
from tcplab.workers.workerprocess import WorkerProcess, WorkerState

log = Logger("tcplab.server.crew")

#: Seconds from an abort until processes that are still there are killed.
_ABORT_TIMEOUT = 1.0
#: Seconds until the next start after the system has refused a process.
_START_RETRY = 1.0


class Spawner(Protocol):
    """Starts worker processes, which call the pool's `stateChanged` and `pipesClosed`."""

    def start(self, pool: WorkerPool, generation: int) -> WorkerProcess | None:
        """Start a process; ``None`` if that is impossible now."""

    def release(self, process: WorkerProcess) -> None:
        """Free what belongs to a process that has exited."""


class WorkerPool:
    """
    Keep so many workers serving, and one spare ready to replace one that exits.

    Starting a process takes some tenths of a second; activating the spare takes none.

    :param size: how many serve.
    :param spawner: starts the processes.
    :param clock: keeps the time.
    :ivar processes: those that have not exited.
    :ivar allServing: fires when so many serve for the first time; with a `SettingsError` if they
        cannot serve what was configured.
    """

    def __init__(self, size: int, spawner: Spawner, clock: IReactorTime) -> None:
        self.processes: list[WorkerProcess] = []
        self.allServing = OneShot[None]()
        self._size = size
        self._spawner = spawner
        self._clock = clock
        self._backoff = RestartBackoff(clock.seconds())
        self._generation = 0
        self._started = self._restarting = False
        self._timer: IDelayedCall | None = None
        self._heartbeatTimer: IDelayedCall | None = None
        self._openPipes: set[WorkerProcess] = set()
        self._drained = Drained(0, 0)
        self._stopping: Deferred[Drained] | None = None

    def start(self) -> None:
        """Start the workers."""
        if self._stopping is not None:
            return
        self._started = True
        self._checkHeartbeats()
        started = [self._startProcess() for _ in range(self._size)]
        if not all(started):
            if not self.processes:
                self.fail("no worker can be started, see above")
            self._reconcileLater(_START_RETRY)

    def fail(self, problem: str) -> None:
        """Let `allServing` fail, unless it has fired."""
        if not self.allServing.fired:
            self.allServing.fire(Failure(SettingsError(problem)))

    # Called by the processes

    def stateChanged(self, process: WorkerProcess) -> None:
        """Act on the new state of a process."""
        if process not in self.processes:
            return  # it has exited while it was being started, and this is called again
        if process.state is WorkerState.EXITED:
            self._exited(process)
        elif process.state is WorkerState.SERVING:
            self._serving(process)
        self._reconcile()
        if not self.allServing.fired and not self._freeSlots(WorkerState.SERVING):
            self.allServing.fire(None)

    def _serving(self, process: WorkerProcess) -> None:
        log.info("{member} serves", log_system="tcplab", member=str(process))
        self._backoff.served()
        for other in self._inState(WorkerState.SERVING):
            if other.number == process.number and other is not process:
                other.leave()
        if self._restarting and not self._oldGeneration():
            self._restarting = False
            log.info("restarted: every worker is a new one", log_system="tcplab")

    def pipesClosed(self, process: WorkerProcess) -> None:
        """Forget the pipes of a process: everything that it has written was received."""
        self._openPipes.discard(process)
        self._checkStopped()

    # Which processes there are

    def _inState(self, *states: WorkerState) -> list[WorkerProcess]:
        return [each for each in self.processes if each.state in states]

    def _freeSlots(self, *states: WorkerState) -> list[int]:
        inUse = {each.number for each in self._inState(*states)}
        return [number for number in range(1, self._size + 1) if number not in inUse]

    def _oldGeneration(self) -> list[WorkerProcess]:
        serving = sorted(self._inState(WorkerState.SERVING), key=lambda each: each.number)
        return [each for each in serving if each.generation != self._generation]

    def _newGeneration(self, *states: WorkerState) -> list[WorkerProcess]:
        return [each for each in self._inState(*states) if each.generation == self._generation]

    # Enough processes

    def _reconcile(self) -> None:
        """Activate spares: first in free slots, then in place of the old generation."""
        if self._stopping is not None:
            return
        slots = self._freeSlots(WorkerState.ACTIVATING, WorkerState.SERVING)
        if not slots and not self._inState(WorkerState.ACTIVATING):
            slots = [each.number for each in self._oldGeneration()[:1]]
        for process, number in zip(self._newGeneration(WorkerState.READY), slots, strict=False):
            process.serve(number)
        self._startSpares()

    def _startSpares(self) -> None:
        wanted = len(self._freeSlots(WorkerState.ACTIVATING, WorkerState.SERVING)) or 1
        while len(self._newGeneration(WorkerState.STARTING, WorkerState.READY)) < wanted:
            pause = self._backoff.remaining(self._clock.seconds())
            if pause > 0 or not self._startProcess():
                self._reconcileLater(pause or _START_RETRY)
                return

    def _startProcess(self) -> bool:
        process = self._spawner.start(self, self._generation)
        if process is None:
            return False
        self.processes.append(process)
        self._openPipes.add(process)
        self._backoff.started(self._clock.seconds())
        if process.state is WorkerState.EXITED:
            self.stateChanged(process)
        return True

    def _reconcileLater(self, seconds: float) -> None:
        self._cancelTimer()
        self._timer = self._clock.callLater(seconds, self._timerFired)

    def _timerFired(self) -> None:
        self._timer = None
        self._reconcile()

    def _cancelTimer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # A process exits

    def _exited(self, process: WorkerProcess) -> None:
        self.processes.remove(process)
        if self._stopping is not None:
            self._addDrained(process)
        elif process.lastState is not WorkerState.DRAINING:
            self._replace(process)
        self._spawner.release(process)
        self._checkStopped()

    def _replace(self, process: WorkerProcess) -> None:
        now = self._clock.seconds()
        served = None if process.servingSince is None else now - process.servingSince
        pause = self._backoff.exited(now, served, bool(process.killedBy))
        spare = served is not None and self._newGeneration(WorkerState.READY)
        killed, status = process.killedBy, process.status
        log.warn(
            "{member} {how}{what}; {then}",
            log_system="tcplab",
            member=str(process),
            how=f"was killed by {killed}" if killed else f"ended: {status}",
            what=" before it served"
            if served is None
            else f" after {served:.1f} s, with {process.row.connections} connections",
            then=f"another in {pause:.2g} s" if pause and not spare else "another takes its place",
        )
        if served is None and status == EX_CONFIG and not self.allServing.fired:
            self.fail("the workers cannot serve, see above")
        elif served is None and self._restarting and not killed:
            self._abandonRestart()

    def _abandonRestart(self) -> None:
        self._restarting = False
        for each in self._inState(WorkerState.SERVING):
            each.generation = self._generation
        log.error("not restarted: the old workers go on", log_system="tcplab")

    def _checkHeartbeats(self) -> None:
        self._heartbeatTimer = self._clock.callLater(BEAT, self._checkHeartbeats)
        for process in self.processes:
            if process.heartbeatLost():
                log.warn(
                    "{member} does not answer any more: killed",
                    log_system="tcplab",
                    member=str(process),
                )
                process.kill()

    # Restart and end

    def restart(self) -> None:
        """Replace the workers one after the other: each serves before its predecessor drains."""
        if self._stopping is not None or not self._started:
            return
        log.info("restarting: one worker after the other", log_system="tcplab")
        self._restarting = True
        self._generation += 1
        for each in self._inState(WorkerState.STARTING, WorkerState.READY):
            each.discard()
        self._reconcile()

    def stop(self) -> Deferred[Drained]:
        """Let all workers drain; fires with the sum of their outcomes when all have exited."""
        stopping: Deferred[Drained] = Deferred()
        self._stopping = stopping
        self._cancelTimer()
        if not self.allServing.fired:
            self.allServing.fire(Failure(CancelledError()))
        for each in list(self.processes):
            each.stop()
        self._checkStopped()
        return stopping

    def abortNow(self) -> None:
        """Let all workers abort their connections; kill those that do not exit."""
        for each in self.processes:
            each.abort()
        self._timer = self._clock.callLater(_ABORT_TIMEOUT, self._killAll)

    def _killAll(self) -> None:
        self._timer = None
        for each in list(self.processes):
            each.kill()

    def _addDrained(self, process: WorkerProcess) -> None:
        row = process.row
        lost = row.connections if process.killedBy else 0
        self._drained = Drained(
            self._drained.drained + row.drained, self._drained.aborted + row.aborted + lost
        )

    def _checkStopped(self) -> None:
        stopping = self._stopping
        if stopping is None or self.processes or self._openPipes or stopping.called:
            return
        self._cancelTimer()
        timer, self._heartbeatTimer = self._heartbeatTimer, None
        if timer is not None:
            timer.cancel()
        stopping.callback(self._drained)
