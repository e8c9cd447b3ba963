"""The first process of several: it holds the ports, keeps the workers, and serves nobody."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, fail, succeed
from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure

from tcplab.config.errors import SettingsError
from tcplab.config.settings import Settings
from tcplab.listener.events import Observer
from tcplab.server.drain import Drained
from tcplab.server.endpointlistener import EndpointListener
from tcplab.server.service import LabService
from tcplab.workers.pool import WorkerPool
from tcplab.workers.spawner import WorkerSpawner

log = Logger("tcplab.server.supervisor")

#: Seconds for the workers to accept who waits: a millisecond is enough for a hundred.
_GRACE = 0.25


class Supervisor(LabService):
    """
    Serve what the settings say, in several processes that share the ports.

    :param words: what the settings were made of: arguments of `tcplab.config.settings.fromWords`.
        The workers make them anew, with the modules as they are when they start.
    """

    def __init__(
        self,
        settings: Settings,
        reactor: Any,
        observers: Observer,
        *,
        words: Mapping[str, Any],
        listening: Any = None,
    ) -> None:
        super().__init__(settings, reactor, observers, listening=listening)
        assert settings.workers is not None
        self.suspend()
        if self.faults.seed is not None:  # chosen once, for all of them
            words = {**words, "seed": str(self.faults.seed)}
        self._spawner = WorkerSpawner(words, reactor, self.listeners, settings.workers)
        self._pool = WorkerPool(settings.workers, self._spawner, reactor)
        self._outcome: Failure | bool = False
        self._asked: list[Deferred[None]] = []
        self._pool.allServing.addBoth(self._poolServing)

    def startService(self) -> None:
        """Start the workers, as soon as all ports listen."""
        super().startService()
        self.listen().addCallbacks(self._begin, lambda _: None)

    def _begin(self, _: object) -> None:
        try:
            self._spawner.prepare()
        except SettingsError:
            self._pool.allServing.errback(Failure())
        else:
            # By then signals are heard, and a worker's death too.
            self._reactor.callWhenRunning(self._pool.begin)

    def _poolServing(self, outcome: Failure | None) -> None:
        self._outcome = outcome or True
        asked, self._asked = self._asked, []
        for each in asked:
            each.callback(outcome)  # a failure is passed on as such

    def whenServing(self) -> Deferred[None]:
        """Fire when all workers serve for the first time; with a `SettingsError` if they can't."""
        if isinstance(self._outcome, Failure):
            return fail(self._outcome)
        if self._outcome:
            return succeed(None)
        asked: Deferred[None] = Deferred()
        self._asked.append(asked)
        return asked

    def restart(self) -> None:
        """Replace the workers one after the other; who connects meanwhile does not notice."""
        self._pool.restart()

    # The end

    def abort(self) -> int:
        """End every connection at once, and a drain with them; say how many those were."""
        if self._draining is not None:
            return self._draining.abortNow()
        for each in self._pool.processes:
            each.abort()
        return self._spawner.connections

    def _newDrain(self) -> Any:
        delay = self.settings.drainDelay
        return WorkersDrain(self._pool, self._spawner, self.listeners, self._reactor, delay)


class WorkersDrain:
    """
    The end of them all: the workers drain, each for itself.

    The first that does accepts who waits, and shuts the ports down, for all: who comes later is
    refused. In case that none does (they may all have been told to end by others, and have left
    the ports to us), we do it ourselves a little later.

    :param delay: seconds that they go on accepting.
    """

    def __init__(
        self,
        pool: WorkerPool,
        spawner: WorkerSpawner,
        listeners: Iterable[EndpointListener],
        clock: Any,
        delay: float,
    ) -> None:
        self._pool = pool
        self._spawner = spawner
        self._listeners = listeners
        self._clock = clock
        self._delay = delay
        self._running: Deferred[Drained] | None = None

    def run(self) -> Deferred[Drained]:
        """Do it, once; fires when it is done, for each who asks."""
        if self._running is None:
            self._running = Deferred.fromCoroutine(self._run())
        asked: Deferred[Drained] = Deferred()
        self._running.addBoth(_tell, asked)
        return asked

    def abortNow(self) -> int:
        """Stop waiting; say how many are still connected."""
        count = self._spawner.connections
        self._pool.abortNow()
        return count

    async def _run(self) -> Drained:
        began = self._clock.seconds()
        closing = self._clock.callLater(self._delay + _GRACE, self._close)
        drained = await self._pool.stop()
        if closing.active():
            closing.cancel()
        await self._close()
        log.emit(
            LogLevel.warn if drained.aborted else LogLevel.info,
            "drained={drained} aborted={aborted} seconds={seconds:.3f}, all workers together",
            log_system="tcplab",
            **drained._asdict(),
            seconds=self._clock.seconds() - began,
        )
        return drained

    def _close(self) -> Deferred[Any]:
        return DeferredList([each.stopListening() for each in self._listeners])


def _tell(result: Any, asked: Deferred[Any]) -> Any:
    asked.callback(result)
    return result
