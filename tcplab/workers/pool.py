"""The workers: as many as there should be, replaced when they die, or one after the other."""

from __future__ import annotations

from typing import Any, Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger

from tcplab.config.errors import SettingsError
from tcplab.server.drain import Drained
from tcplab.workers.backoff import RestartBackoff
from tcplab.workers.messages import EX_CONFIG
from tcplab.workers.scoreboard import BEAT
from tcplab.workers.workerprocess import WorkerProcess, WorkerState

log = Logger("tcplab.server.crew")

#: Seconds for those who were told to end at once.
_AT_ONCE = 1.0
#: Seconds until a process is tried again that the system did not give.
_NO_PROCESS = 1.0


class Spawner(Protocol):
    """Starts workers, which tell the crew by `WorkerPool.changed` and `WorkerPool.closed`."""

    def start(self, pool: WorkerPool, generation: int) -> WorkerProcess | None: ...

    def gone(self, process: WorkerProcess) -> None: ...


class WorkerPool:
    """
    Keep so many workers serving, and one more ready to take the place of one that dies.

    To start a process takes some tenths of a second; to call the one that is ready, none.

    :param size: how many.
    :param spawner: starts one; it returns ``None`` when that cannot be done now.
    :param clock: keeps the time.
    :ivar processes: the processes there are.
    :ivar allServing: fires when so many serve for the first time; with a `SettingsError` if they
        cannot do what they were asked to.
    """

    def __init__(self, size: int, spawner: Spawner, clock: Any) -> None:
        self.processes: list[WorkerProcess] = []
        self.allServing: Deferred[None] = Deferred()
        self._size = size
        self._spawner = spawner
        self._clock = clock
        self._backoff = RestartBackoff(clock.seconds())
        self._generation = 0
        self._begun = self._restarting = False
        self._again: Any = None
        self._watching: Any = None
        self._openPipes: set[WorkerProcess] = set()
        self._drained = Drained(0, 0)
        self._stopping: Deferred[Drained] | None = None

    def begin(self) -> None:
        """Start them."""
        if self._stopping is not None:
            return
        self._begun = True
        self._watch()
        started = [self._start() for _ in range(self._size)]
        if not all(started):
            if not self.processes:
                self.allServing.errback(SettingsError("no worker can be started, see above"))
            self._later(_NO_PROCESS)

    # What they tell

    def changed(self, process: WorkerProcess) -> None:
        """One of them is in another stage."""
        if process not in self.processes:
            return  # it has died while it was being started: we are told again
        if process.state is WorkerState.EXITED:
            self._died(process)
        elif process.state is WorkerState.SERVING:
            self._serves(process)
        self._reconcile()
        if not self.allServing.called and not self._freeSlots(WorkerState.SERVING):
            self.allServing.callback(None)

    def _serves(self, process: WorkerProcess) -> None:
        log.info("{member} serves", log_system="tcplab", member=str(process))
        self._backoff.served()
        for other in self._at(WorkerState.SERVING):
            if other.number == process.number and other is not process:
                other.leave()
        if self._restarting and not self._oldGeneration():
            self._restarting = False
            log.info("restarted: every worker is a new one", log_system="tcplab")

    def closed(self, process: WorkerProcess) -> None:
        """All that one has said was heard."""
        self._openPipes.discard(process)
        self._ended()

    # Who is there

    def _at(self, *stages: WorkerState) -> list[WorkerProcess]:
        return [each for each in self.processes if each.state in stages]

    def _freeSlots(self, *stages: WorkerState) -> list[int]:
        inUse = {each.number for each in self._at(*stages)}
        return [number for number in range(1, self._size + 1) if number not in inUse]

    def _oldGeneration(self) -> list[WorkerProcess]:
        serving = sorted(self._at(WorkerState.SERVING), key=lambda each: each.number)
        return [each for each in serving if each.generation != self._generation]

    def _newGeneration(self, *stages: WorkerState) -> list[WorkerProcess]:
        return [each for each in self._at(*stages) if each.generation == self._generation]

    # To have enough of them

    def _reconcile(self) -> None:
        """Call who is ready to where one is missing, then to where one is to be replaced."""
        if self._stopping is not None:
            return
        places = self._freeSlots(WorkerState.ACTIVATING, WorkerState.SERVING)
        if not places and not self._at(WorkerState.ACTIVATING):
            places = [each.number for each in self._oldGeneration()[:1]]
        for process, number in zip(self._newGeneration(WorkerState.READY), places, strict=False):
            process.serve(number)
        self._startSpares()

    def _startSpares(self) -> None:
        wanted = len(self._freeSlots(WorkerState.ACTIVATING, WorkerState.SERVING)) or 1
        while len(self._newGeneration(WorkerState.STARTING, WorkerState.READY)) < wanted:
            left = self._backoff.left(self._clock.seconds())
            if left > 0 or not self._start():
                self._later(left or _NO_PROCESS)
                return

    def _start(self) -> bool:
        process = self._spawner.start(self, self._generation)
        if process is None:
            return False
        self.processes.append(process)
        self._openPipes.add(process)
        self._backoff.started(self._clock.seconds())
        if process.state is WorkerState.EXITED:
            self.changed(process)
        return True

    def _later(self, seconds: float) -> None:
        self._cancel()
        self._again = self._clock.callLater(seconds, self._retry)

    def _retry(self) -> None:
        self._again = None
        self._reconcile()

    def _cancel(self) -> None:
        if self._again is not None:
            self._again.cancel()
            self._again = None

    # When one dies

    def _died(self, process: WorkerProcess) -> None:
        self.processes.remove(process)
        if self._stopping is not None:
            self._count(process)
        elif process.lastState is not WorkerState.DRAINING:
            self._replace(process)
        self._spawner.gone(process)
        self._ended()

    def _replace(self, process: WorkerProcess) -> None:
        now = self._clock.seconds()
        served = None if process.servingSince is None else now - process.servingSince
        pause = self._backoff.died(now, served, bool(process.killedBy))
        next_ = served is not None and self._newGeneration(WorkerState.READY)
        log.warn(
            "{member} {how}{what}; {then}",
            log_system="tcplab",
            member=str(process),
            how=f"was killed by {process.killedBy}"
            if process.killedBy
            else f"ended: {process.status}",
            what=" before it served" if served is None else self._lost(process, served),
            then=f"another in {pause:.2g} s" if pause and not next_ else "another takes its place",
        )
        if served is None and process.status == EX_CONFIG and not self.allServing.called:
            self.allServing.errback(SettingsError("the workers cannot serve, see above"))
        elif served is None and self._restarting and not process.killedBy:
            self._giveUp()

    def _lost(self, process: WorkerProcess, served: float) -> str:
        return f" after {served:.1f} s, with {process.row.connections} connections"

    def _giveUp(self) -> None:
        self._restarting = False
        for each in self._at(WorkerState.SERVING):
            each.generation = self._generation
        log.error("not restarted: the old workers go on", log_system="tcplab")

    def _watch(self) -> None:
        self._watching = self._clock.callLater(BEAT, self._watch)
        for process in self.processes:
            if process.heartbeatLost():
                log.warn(
                    "{member} does not answer any more: killed",
                    log_system="tcplab",
                    member=str(process),
                )
                process.kill()

    # To replace or to end them all

    def restart(self) -> None:
        """Replace them one after the other: each serves before the one it replaces drains."""
        if self._stopping is not None or not self._begun:
            return
        log.info("restarting: one worker after the other", log_system="tcplab")
        self._restarting = True
        self._generation += 1
        for each in self._at(WorkerState.STARTING, WorkerState.READY):
            each.discard()
        self._reconcile()

    def stop(self) -> Deferred[Drained]:
        """Have them all drain; fires when they are gone."""
        stopping: Deferred[Drained] = Deferred()
        self._stopping = stopping
        self._cancel()
        if not self.allServing.called:
            self.allServing.errback(CancelledError())
        for each in list(self.processes):
            each.stop()
        self._ended()
        return stopping

    def abortNow(self) -> None:
        """Have them end at once."""
        for each in self.processes:
            each.abort()
        self._again = self._clock.callLater(_AT_ONCE, self._killAll)

    def _killAll(self) -> None:
        self._again = None
        for each in list(self.processes):
            each.kill()

    def _count(self, process: WorkerProcess) -> None:
        row = process.row
        lost = row.connections if process.killedBy else 0
        self._drained = Drained(
            self._drained.drained + row.drained, self._drained.aborted + row.aborted + lost
        )

    def _ended(self) -> None:
        stopping = self._stopping
        if stopping is None or self.processes or self._openPipes or stopping.called:
            return
        self._cancel()
        watching, self._watching = self._watching, None
        if watching is not None:
            watching.cancel()
        stopping.callback(self._drained)
