"""Drain listeners: stop accepting, let conversations finish, abort the rest at a deadline."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

from twisted.internet.defer import CancelledError, Deferred, DeferredList, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger, LogLevel

from tcplab.listener.listener import Listener
from tcplab.listener.oneshot import OneShot
from tcplab.listener.policy import Policy
from tcplab.listener.servertransport import ObservedTransport
from tcplab.server.endpointlistener import EndpointListener
from tcplab.wire.reasons import Reason

log = Logger("tcplab.server.drain")

#: Seconds for ports and aborted connections to close. The next turn of the reactor is enough,
#: unless a user's connectionLost computes.
_CLOSE_TIMEOUT = 1.0

#: Reasons of a reset that discards what the peer has not read.
_LOSSES = frozenset({Reason.UNREAD, Reason.WRITE_TIMEOUT})


class Drained(NamedTuple):
    """
    The outcome of a drain.

    :ivar drained: connections that were open when accepting ended, and ended in time. If the lab
        ended them, their peers had taken everything.
    :ivar aborted: connections that were reset: at the deadline, before it because the peer read
        nothing, or in the listen queue when the ports closed.
    """

    drained: int
    aborted: int


class Drain(ABC):
    """
    A drain, which runs once. Subclasses define what is drained.

    :param clock: keeps the time.
    :param log: where the outcome is logged.
    :param scope: what is drained, at the end of that line.
    """

    def __init__(self, clock: IReactorTime, log: Logger, scope: str = "") -> None:
        self._clock = clock
        self._log = log
        self._scope = scope
        self._outcome: OneShot[Drained] | None = None

    def run(self) -> Deferred[Drained]:
        """Drain, once; return a new Deferred that fires with the outcome."""
        if self._outcome is None:
            self._outcome = OneShot()
            Deferred.fromCoroutine(self._run()).addBoth(self._outcome.fire)
        return self._outcome.wait()

    @abstractmethod
    def abortNow(self) -> int:
        """Stop waiting, abort what is still open, and return how many connections that is."""

    @abstractmethod
    async def _run(self) -> Drained:
        """Drain, and return the outcome."""

    def _logged(self, outcome: Drained, began: float) -> Drained:
        self._log.emit(
            LogLevel.warn if outcome.aborted else LogLevel.info,
            "drained={drained} aborted={aborted} seconds={seconds:.3f}" + self._scope,
            log_system="tcplab",
            **outcome._asdict(),
            seconds=self._clock.seconds() - began,
        )
        return outcome


class ListenersDrain(Drain):
    """
    The drain of several listeners.

    Connections that were made before accepting ends are served. What has arrived by then is read
    before conversations begin to end. Later connections are refused.

    :param listeners: what is drained.
    :param clock: keeps the time.
    :param delay: seconds to go on accepting, until a load balancer has noticed.
    :param timeout: seconds from the end of accepting until the rest is aborted; ``None`` for no
        limit.
    :param beforeDrain: called before conversations begin to end; it releases connections that
        would never end.
    """

    def __init__(
        self,
        listeners: Iterable[EndpointListener],
        clock: IReactorTime,
        *,
        delay: float,
        timeout: float | None,
        beforeDrain: Callable[[], object] = lambda: None,
    ) -> None:
        super().__init__(clock, log)
        self._listeners = list(listeners)
        self._delay = delay
        self._timeout = timeout
        self._beforeDrain = beforeDrain
        self._aborting = False
        self._losses = _Losses()
        self._awaited: Deferred[None] | None = None

    def abortNow(self) -> int:
        """Stop waiting, abort what is still open, and return how many connections that is."""
        count = self._count()
        self._aborting = True
        if self._awaited is not None:
            self._awaited.cancel()
        return count

    # The steps

    async def _run(self) -> Drained:
        if self._delay:
            log.info(
                "accepting for {delay:g} s more, then draining",
                log_system="tcplab",
                delay=self._delay,
            )
            await self._wait(Deferred(), self._delay)
        began = self._clock.seconds()
        closed = self._closed()
        for listener in self._listeners:
            self._losses.watch(listener)
        await self._wait(closed, self._timeout)
        unserved = sum(listener.unserved for listener in self._listeners)
        found = self._losses.accepted + unserved
        if found > unserved:
            self._logStart(found - unserved)
        if not all(listener.empty for listener in self._listeners):
            await self._drainConnections(began)
        self._losses.stop()
        aborted = unserved + self._losses.count + self._abort()
        await self._waitAtMost(_all([self._empty(), self._closed()]), _CLOSE_TIMEOUT)
        return self._logged(Drained(max(0, found - aborted), aborted), began)

    async def _drainConnections(self, began: float) -> None:
        await self._wait(Deferred(), 0)  # a turn of the reactor: what has arrived is read
        if not self._aborting:
            self._beforeDrain()
            for listener in self._listeners:
                listener.drain()
        await self._wait(self._empty(), self._remaining(began))

    def _remaining(self, began: float) -> float | None:
        passed = self._clock.seconds() - began
        return None if self._timeout is None else max(0.0, self._timeout - passed)

    def _abort(self) -> int:
        count = self._count()
        for listener in self._listeners:
            listener.abort()
        return count

    def _count(self) -> int:
        return sum(len(listener.connections) for listener in self._listeners)

    def _closed(self) -> Deferred[None]:
        return _all(each.stopListening() for each in self._listeners)

    def _empty(self) -> Deferred[None]:
        return Deferred.fromCoroutine(whenEmpty(self._listeners))

    def _logStart(self, found: int) -> None:
        log.info(
            "draining: {found} connected, {limit}",
            log_system="tcplab",
            found=found,
            limit="no limit" if self._timeout is None else f"{self._timeout:g} s to finish",
        )

    # Waiting

    async def _wait(self, event: Deferred[None], seconds: float | None) -> None:
        """Wait for an event, at most so many seconds; not at all after `abortNow`."""
        self._awaited = event
        if self._aborting:
            event.cancel()
        try:
            await self._waitAtMost(event, seconds)
        finally:
            self._awaited = None

    async def _waitAtMost(self, event: Deferred[None], seconds: float | None) -> None:
        if seconds is not None:
            event.addTimeout(seconds, self._clock)
        event.addErrback(lambda failure: failure.trap(CancelledError, TimeoutError))
        await event


class _Losses(Policy):
    """
    Count the connections that were reset before their peers had read everything.

    :ivar count: how many those are.
    :ivar accepted: how many there were when it began to watch, and were accepted since.
    """

    count = accepted = 0

    def connectionAccepted(self, transport: ObservedTransport) -> None:
        self.accepted += 1

    def connectionClosed(self, transport: ObservedTransport) -> None:
        if transport.reason in _LOSSES:
            self.count += 1


async def whenEmpty(listeners: Collection[Listener]) -> None:
    """Wait until no listener has a connection, all at the same time."""
    while busy := [listener for listener in listeners if not listener.empty]:
        await busy[0].whenEmpty()


def _all(events: Iterable[Deferred[None]]) -> Deferred[None]:
    return DeferredList(list(events), consumeErrors=True).addCallback(lambda _: None)
