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

    def start(self, crew: WorkerPool, generation: int) -> WorkerProcess | None: ...

    def gone(self, member: WorkerProcess) -> None: ...


class WorkerPool:
    """
    Keep so many workers serving, and one more ready to take the place of one that dies.

    To start a process takes some tenths of a second; to call the one that is ready, none.

    :param size: how many.
    :param recruiter: starts one; it returns ``None`` when that cannot be done now.
    :param clock: keeps the time.
    :ivar members: the processes there are.
    :ivar complete: fires when so many serve for the first time; with a `SettingsError` if they
        cannot do what they were asked to.
    """

    def __init__(self, size: int, recruiter: Spawner, clock: Any) -> None:
        self.members: list[WorkerProcess] = []
        self.complete: Deferred[None] = Deferred()
        self._size = size
        self._recruiter = recruiter
        self._clock = clock
        self._pace = RestartBackoff(clock.seconds())
        self._generation = 0
        self._begun = self._restarting = False
        self._again: Any = None
        self._watching: Any = None
        self._unheard: set[WorkerProcess] = set()
        self._drained = Drained(0, 0)
        self._stopping: Deferred[Drained] | None = None

    def begin(self) -> None:
        """Start them."""
        if self._stopping is not None:
            return
        self._begun = True
        self._watch()
        started = [self._recruit() for _ in range(self._size)]
        if not all(started):
            if not self.members:
                self.complete.errback(SettingsError("no worker can be started, see above"))
            self._later(_NO_PROCESS)

    # What they tell

    def changed(self, member: WorkerProcess) -> None:
        """One of them is in another stage."""
        if member not in self.members:
            return  # it has died while it was being started: we are told again
        if member.stage is WorkerState.GONE:
            self._died(member)
        elif member.stage is WorkerState.SERVING:
            self._serves(member)
        self._tend()
        if not self.complete.called and not self._vacant(WorkerState.SERVING):
            self.complete.callback(None)

    def _serves(self, member: WorkerProcess) -> None:
        log.info("{member} serves", log_system="tcplab", member=str(member))
        self._pace.served()
        for other in self._at(WorkerState.SERVING):
            if other.number == member.number and other is not member:
                other.leave()
        if self._restarting and not self._outdated():
            self._restarting = False
            log.info("restarted: every worker is a new one", log_system="tcplab")

    def closed(self, member: WorkerProcess) -> None:
        """All that one has said was heard."""
        self._unheard.discard(member)
        self._ended()

    # Who is there

    def _at(self, *stages: WorkerState) -> list[WorkerProcess]:
        return [each for each in self.members if each.stage in stages]

    def _vacant(self, *stages: WorkerState) -> list[int]:
        taken = {each.number for each in self._at(*stages)}
        return [number for number in range(1, self._size + 1) if number not in taken]

    def _outdated(self) -> list[WorkerProcess]:
        serving = sorted(self._at(WorkerState.SERVING), key=lambda each: each.number)
        return [each for each in serving if each.generation != self._generation]

    def _coming(self, *stages: WorkerState) -> list[WorkerProcess]:
        return [each for each in self._at(*stages) if each.generation == self._generation]

    # To have enough of them

    def _tend(self) -> None:
        """Call who is ready to where one is missing, then to where one is to be replaced."""
        if self._stopping is not None:
            return
        places = self._vacant(WorkerState.CALLED, WorkerState.SERVING)
        if not places and not self._at(WorkerState.CALLED):
            places = [each.number for each in self._outdated()[:1]]
        for member, number in zip(self._coming(WorkerState.READY), places, strict=False):
            member.serve(number)
        self._fill()

    def _fill(self) -> None:
        wanted = len(self._vacant(WorkerState.CALLED, WorkerState.SERVING)) or 1
        while len(self._coming(WorkerState.STARTING, WorkerState.READY)) < wanted:
            left = self._pace.left(self._clock.seconds())
            if left > 0 or not self._recruit():
                self._later(left or _NO_PROCESS)
                return

    def _recruit(self) -> bool:
        member = self._recruiter.start(self, self._generation)
        if member is None:
            return False
        self.members.append(member)
        self._unheard.add(member)
        self._pace.started(self._clock.seconds())
        if member.stage is WorkerState.GONE:
            self.changed(member)
        return True

    def _later(self, seconds: float) -> None:
        self._cancel()
        self._again = self._clock.callLater(seconds, self._retry)

    def _retry(self) -> None:
        self._again = None
        self._tend()

    def _cancel(self) -> None:
        if self._again is not None:
            self._again.cancel()
            self._again = None

    # When one dies

    def _died(self, member: WorkerProcess) -> None:
        self.members.remove(member)
        if self._stopping is not None:
            self._count(member)
        elif member.before is not WorkerState.LEAVING:
            self._replace(member)
        self._recruiter.gone(member)
        self._ended()

    def _replace(self, member: WorkerProcess) -> None:
        now = self._clock.seconds()
        served = None if member.since is None else now - member.since
        pause = self._pace.died(now, served, bool(member.killer))
        next_ = served is not None and self._coming(WorkerState.READY)
        log.warn(
            "{member} {how}{what}; {then}",
            log_system="tcplab",
            member=str(member),
            how=f"was killed by {member.killer}" if member.killer else f"ended: {member.status}",
            what=" before it served" if served is None else self._lost(member, served),
            then=f"another in {pause:.2g} s" if pause and not next_ else "another takes its place",
        )
        if served is None and member.status == EX_CONFIG and not self.complete.called:
            self.complete.errback(SettingsError("the workers cannot serve, see above"))
        elif served is None and self._restarting and not member.killer:
            self._giveUp()

    def _lost(self, member: WorkerProcess, served: float) -> str:
        return f" after {served:.1f} s, with {member.row.connections} connections"

    def _giveUp(self) -> None:
        self._restarting = False
        for each in self._at(WorkerState.SERVING):
            each.generation = self._generation
        log.error("not restarted: the old workers go on", log_system="tcplab")

    def _watch(self) -> None:
        self._watching = self._clock.callLater(BEAT, self._watch)
        for member in self.members:
            if member.silent():
                log.warn(
                    "{member} does not answer any more: killed",
                    log_system="tcplab",
                    member=str(member),
                )
                member.kill()

    # To replace or to end them all

    def restart(self) -> None:
        """Replace them one after the other: each serves before the one it replaces drains."""
        if self._stopping is not None or not self._begun:
            return
        log.info("restarting: one worker after the other", log_system="tcplab")
        self._restarting = True
        self._generation += 1
        for each in self._at(WorkerState.STARTING, WorkerState.READY):
            each.dismiss()
        self._tend()

    def stop(self) -> Deferred[Drained]:
        """Have them all drain; fires when they are gone."""
        stopping: Deferred[Drained] = Deferred()
        self._stopping = stopping
        self._cancel()
        if not self.complete.called:
            self.complete.errback(CancelledError())
        for each in list(self.members):
            each.stop()
        self._ended()
        return stopping

    def hurry(self) -> None:
        """Have them end at once."""
        for each in self.members:
            each.abort()
        self._again = self._clock.callLater(_AT_ONCE, self._killAll)

    def _killAll(self) -> None:
        self._again = None
        for each in list(self.members):
            each.kill()

    def _count(self, member: WorkerProcess) -> None:
        row = member.row
        lost = row.connections if member.killer else 0
        self._drained = Drained(
            self._drained.drained + row.drained, self._drained.aborted + row.aborted + lost
        )

    def _ended(self) -> None:
        stopping = self._stopping
        if stopping is None or self.members or self._unheard or stopping.called:
            return
        self._cancel()
        watching, self._watching = self._watching, None
        if watching is not None:
            watching.cancel()
        stopping.callback(self._drained)
