"""The polite end of a lab: accept nobody any more, let everyone finish, abort who does not."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any, NamedTuple, TypeVar

from twisted.internet.defer import CancelledError, Deferred, DeferredList, TimeoutError
from twisted.logger import Logger, LogLevel

from tcplab.listener.listener import Listener
from tcplab.listener.policy import Policy
from tcplab.server.endpointlistener import EndpointListener

log = Logger()

#: Seconds for ports and aborted connections to be gone: the next turn of the reactor is enough,
#: unless a user's connectionLost takes its time.
_CLOSE_TIMEOUT = 1.0

#: Why a connection is reset that has not taken all that it was told.
_LOSSES = frozenset({"unread", "write-timeout"})

_Any = TypeVar("_Any")


class Drained(NamedTuple):
    """
    How a drain ended.

    :ivar drained: connections that were open when accepting ended, and have ended in time; if it
        was we who ended them, their peers had taken everything.
    :ivar aborted: those that were reset at the deadline, or before it because they read nothing.
    """

    drained: int
    aborted: int


class Drain(Policy):
    """
    One drain of several listeners.

    Whoever has connected before accepting ends is served, and what has arrived by then is read
    before the conversations are told; whoever comes later is refused.

    :param listeners: what is drained.
    :param clock: keeps the time.
    :param delay: seconds to go on accepting: for a load balancer to learn of it.
    :param timeout: seconds from the end of accepting until the rest is aborted; ``None`` for no
        limit.
    :param beforeDrain: ends what would keep connections for ever, before they are told.
    """

    def __init__(
        self,
        listeners: Iterable[EndpointListener],
        clock: Any,
        *,
        delay: float,
        timeout: float | None,
        beforeDrain: Callable[[], object] = lambda: None,
    ) -> None:
        super().__init__(clock)
        self._endpointListeners = list(listeners)
        self._draining = [each.listener for each in self._endpointListeners]
        self._delay = delay
        self._timeout = timeout
        self._beforeDrain = beforeDrain
        self._aborting = False
        self._lost = 0
        self._awaited: Deferred[Any] | None = None
        self._running: Deferred[Drained] | None = None

    def run(self) -> Deferred[Drained]:
        """Do it, once; fires when it is done, for each who asks."""
        if self._running is None:
            self._running = Deferred.fromCoroutine(self._run())
        asked: Deferred[Drained] = Deferred()
        self._running.addBoth(_tell, asked)
        return asked

    def abortNow(self) -> int:
        """Stop waiting, and abort who is still there; say how many those are."""
        count = self._count()
        self._aborting = True
        if self._awaited is not None:
            self._awaited.cancel()
        return count

    def connectionClosed(self, transport: Any) -> None:
        """Count who has ended without having read everything."""
        if transport.reason in _LOSSES:
            self._lost += 1

    # One thing after the other

    async def _run(self) -> Drained:
        if self._delay:
            log.info(
                "accepting for {delay:g} s more, then draining",
                log_system="tcplab",
                delay=self._delay,
            )
            await self._wait(Deferred(), self._delay)
        began = self.clock.seconds()
        closed = self._closed()
        found = self._count()
        if found:
            self._logStart(found)
        if not all(listener.empty for listener in self._draining):
            await self._drainConnections(closed, began)
        aborted = self._lost + self._abort()
        await self._waitAtMost(_all([self._empty(), self._closed()]), _CLOSE_TIMEOUT)
        return self._logged(Drained(max(0, found - aborted), aborted), began)

    async def _drainConnections(self, closed: Deferred[Any], began: float) -> None:
        for listener in self._draining:
            self.watch(listener)
        await self._wait(closed, self._timeout)
        await self._wait(Deferred(), 0)  # a turn of the reactor: what has arrived is read
        if not self._aborting:
            self._beforeDrain()
            for listener in self._draining:
                listener.drain()
        await self._wait(self._empty(), self._remaining(began))
        self.stop()

    def _remaining(self, began: float) -> float | None:
        passed: float = self.clock.seconds() - began
        return None if self._timeout is None else max(0.0, self._timeout - passed)

    def _abort(self) -> int:
        count = self._count()
        for listener in self._draining:
            listener.abort()
        return count

    def _count(self) -> int:
        return sum(len(listener.connections) for listener in self._draining)

    def _closed(self) -> Deferred[Any]:
        return _all(each.stopListening() for each in self._endpointListeners)

    def _empty(self) -> Deferred[None]:
        return Deferred.fromCoroutine(whenEmpty(self._draining))

    # What is said

    def _logStart(self, found: int) -> None:
        log.info(
            "draining: {found} connected, {limit}",
            log_system="tcplab",
            found=found,
            limit="no limit" if self._timeout is None else f"{self._timeout:g} s to finish",
        )

    def _logged(self, outcome: Drained, began: float) -> Drained:
        log.emit(
            LogLevel.warn if outcome.aborted else LogLevel.info,
            "drained={drained} aborted={aborted} seconds={seconds:.3f}",
            log_system="tcplab",
            **outcome._asdict(),
            seconds=self.clock.seconds() - began,
        )
        return outcome

    # Waiting

    async def _wait(self, event: Deferred[Any], seconds: float | None) -> None:
        """Wait for it, that long at most; not at all when we are in a hurry."""
        self._awaited = event
        if self._aborting:
            event.cancel()
        try:
            await self._waitAtMost(event, seconds)
        finally:
            self._awaited = None

    async def _waitAtMost(self, event: Deferred[Any], seconds: float | None) -> None:
        if seconds is not None:
            event.addTimeout(seconds, self.clock)
        event.addErrback(lambda failure: failure.trap(CancelledError, TimeoutError))
        await event


async def whenEmpty(listeners: Collection[Listener]) -> None:
    """Wait until none of them has a connection, all at the same time."""
    while busy := [listener for listener in listeners if not listener.empty]:
        await busy[0].whenEmpty()


def _all(events: Iterable[Deferred[Any]]) -> Deferred[Any]:
    return DeferredList(list(events), consumeErrors=True)


def _tell(result: _Any, asked: Deferred[Any]) -> _Any:
    asked.callback(result)
    return result
