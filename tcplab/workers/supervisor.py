"""The supervisor: the first process of several. It holds the ports and keeps the workers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from tcplab.config.errors import SettingsError
from tcplab.config.observernames import observerClass
from tcplab.config.optionparsers import Words
from tcplab.config.options import Settings
from tcplab.config.sources import Given
from tcplab.listener.events import Observer
from tcplab.reactor.interfaces import IReactor
from tcplab.server.drain import Drain, Drained
from tcplab.server.endpointlistener import EndpointListener
from tcplab.server.inheritedsockets import AdoptingReactor
from tcplab.server.service import LabService
from tcplab.workers.pool import WorkerPool
from tcplab.workers.spawner import WorkerSpawner

log = Logger("tcplab.server.supervisor")

#: Seconds for the workers to accept the clients in the listen queue: a millisecond is enough for a
#: hundred.
_GRACE = 0.25


class Supervisor(LabService):
    """
    Serve what the settings say, in several processes that share the ports.

    :param words: what the settings were made of: arguments of `tcplab.config.options.fromWords`.
        Each worker makes its settings of them, with the modules as they are when it starts.
    :param reread: reads the options again for new workers; ``None``: they stay as they are.
    """

    def __init__(
        self,
        settings: Settings,
        reactor: IReactor,
        observers: Observer,
        *,
        words: Mapping[str, Words],
        reread: Callable[[], Given] | None = None,
        listening: IReactor | AdoptingReactor | None = None,
    ) -> None:
        for each in settings.observerNames:
            observerClass(each)  # each worker makes its own
        here = replace(settings, observerNames=())
        super().__init__(here, reactor, observers, listening=listening)
        assert settings.workers is not None
        self.suspend()
        self._reread = reread
        if self.faults.seed is not None:  # chosen once, for all workers
            words = {**words, "seed": str(self.faults.seed)}
        self._spawner = WorkerSpawner(words, reactor, self.listeners, settings.workers)
        self._pool = WorkerPool(settings.workers, self._spawner, reactor)

    def startService(self) -> None:
        """Start the workers, as soon as all ports listen."""
        super().startService()
        self.listen().addCallbacks(self._startPool, lambda _: None)

    def _startPool(self, _: object) -> None:
        try:
            self._spawner.prepare()
        except SettingsError as e:
            self._pool.fail(str(e))
        else:
            # The handlers of signals, SIGCHLD's too, are installed by then.
            self._reactor.callWhenRunning(self._pool.start)

    def whenServing(self) -> Deferred[None]:
        """Fire when all workers serve for the first time; fail with a `SettingsError` if not."""
        return self._pool.allServing.wait()

    def restart(self) -> None:
        """
        Replace the workers one after the other; new connections are accepted meanwhile.

        The options are read again. If they are wrong now, or need a new start, the workers stay.
        """
        if self._reread is not None:
            try:
                self._use(*self._reread())
            except SettingsError as e:
                log.error("no restart: {problem}", problem=str(e), log_system="tcplab")
                return
        self._pool.restart()

    def _use(self, words: Mapping[str, Words], settings: Settings) -> None:
        for what, old, new in zip(
            ("the endpoints", "--workers", "--port-file", "--log-file", "--log-format"),
            _fixed(self.settings),
            _fixed(settings),
            strict=True,
        ):
            if old != new:
                raise SettingsError(f"{what} cannot change while the lab runs: start it again")
        seed = settings.seed if settings.seed is not None else self.faults.seed
        if any(fault.rolls for fault in settings.faults) and seed is not None:
            words = {**words, "seed": str(seed)}
        self.settings = replace(settings, observerNames=())
        self._spawner.useWords(words)

    def abort(self) -> int:
        """Abort every connection, and end a drain with them; return how many those were."""
        if self._draining is not None:
            return self._draining.abortNow()
        for each in self._pool.processes:
            each.abort()
        return self._spawner.connections

    def _newDrain(self) -> Drain:
        delay = self.settings.drainDelay
        return WorkersDrain(self._pool, self._spawner, self.listeners, self._reactor, delay)


def _fixed(settings: Settings) -> tuple[object, ...]:
    endpoints = [each.endpoint for each in settings.listeners]
    return endpoints, settings.workers, settings.portFile, settings.logFile, settings.logFormat


class WorkersDrain(Drain):
    """
    The drain of all workers: each drains by itself.

    The first of them accepts the clients in the listen queue and shuts the ports down for all.
    Later connections are refused. If no worker does so, because another program has ended each of
    them, this drain closes the ports a little later.

    :param pool: the workers.
    :param spawner: counts their connections.
    :param listeners: their ports are closed.
    :param clock: keeps the time.
    :param delay: seconds for which the workers go on accepting.
    """

    def __init__(
        self,
        pool: WorkerPool,
        spawner: WorkerSpawner,
        listeners: Sequence[EndpointListener],
        clock: IReactorTime,
        delay: float,
    ) -> None:
        super().__init__(clock, log, ", all workers together")
        self._pool = pool
        self._spawner = spawner
        self._listeners = listeners
        self._delay = delay

    def abortNow(self) -> int:
        """Abort what is still open, and return how many connections that is."""
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
        unserved = sum(each.unserved for each in self._listeners)
        return self._logged(drained._replace(aborted=drained.aborted + unserved), began)

    def _close(self) -> Deferred[list[tuple[bool, None]]]:
        return DeferredList([each.stopListening() for each in self._listeners])
