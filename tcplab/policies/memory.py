"""Memory pressure: shed connections that hold memory and make no progress."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from tcplab.listener.peeraddress import connectionPeerKey
from tcplab.listener.policy import Policy, PolicyListener
from tcplab.listener.servertransport import ObservedTransport
from tcplab.observers.throttle import ThrottledLog
from tcplab.policies.cgroup import Cgroup
from tcplab.policies.heaptrim import trim
from tcplab.policies.periodiccheck import PeriodicCheck
from tcplab.policies.progress import Progress
from tcplab.wire.reasons import Reason

log = Logger("tcplab.policies.memory")

#: Why accepting pauses; the reason of a reset is the same word.
WHY = Reason.MEMORY

#: Shares of the limit. From the first on buffers are smaller, and stuck connections are looked for,
#: so that they are known at the second. From the second on they are shed. From the third on no
#: connection is accepted: the rest is for those that are open, and grow.
_WATCHFUL, _TIGHT, _FULL = 0.5, 0.75, 0.9

#: Seconds between two checks, and between two searches through all connections: 600 take 3 ms.
_INTERVAL, _SEARCH_INTERVAL = 0.1, 0.5

#: Connections accepted between two checks under pressure: 160 a second. Without pressure, after
#: this many the kernel is asked again, which takes 10 us.
_BATCH = 16

#: Seconds without progress after which a connection is stuck.
PATIENCE = 1.0

#: Bytes of one read, and of the buffer above which nothing more is read. With 192 KiB and 64 KiB,
#: the values without pressure, a stuck connection holds 180 KiB; with this 40 KiB.
_SMALL = 16 * 1024

#: Bytes that a stuck connection may hold, see `tcplab.protocols.flow`, and that a handshake takes.
_STUCK, _HANDSHAKE = 256 * 1024, 48 * 1024


class MemoryPressure(Policy):
    """
    Keep the memory of a process below the limit of its cgroup (a container, a systemd unit).

    Above half of the limit connections have smaller buffers. Above three quarters:

    - Free memory is returned to the system, where the C library is glibc.
    - Stuck connections are reset, the longest stuck first, as many as necessary. A connection is
      stuck if its peer has taken nothing of what waits for it, or if it has been in a TLS
      handshake, for more than `PATIENCE`. No other connection is reset.
    - Connections are accepted slowly, and above nine tenths not at all: further clients wait in the
      listen queue.

    The page cache does not count: the kernel takes it back. Without a limit nothing is done.
    **Limit:** memory may be taken faster than it is checked. Thousands of idle connections that
    start to send at once, and read nothing, do so, or a hook.

    :param cgroup: the cgroup with the limit; ``None``: there is no limit.
    :param clock: keeps the time; ``None`` means the reactor of the first port.
    """

    def __init__(self, cgroup: Cgroup | None, *, clock: IReactorTime | None = None) -> None:
        super().__init__(clock)
        self._cgroup = cgroup
        self._suspension = f"{WHY} {id(self):x}"
        self._paused = False
        self._buffersReduced = False
        self._left = _BATCH
        self._checks = PeriodicCheck(self, _INTERVAL, self._check)
        self._shedLog = ThrottledLog(self._logShed, self)
        self._pauseLog = ThrottledLog(self._logPaused, self)
        self._forgetAll()

    def _forgetAll(self) -> None:
        self._searchedAt = -inf
        self._progress = Progress()
        # By transport: bytes taken, and since when no more.
        self._stuck: dict[ObservedTransport, tuple[int, float]] = {}

    def watch(self, listener: PolicyListener) -> None:
        """Include the connections of this listener; nothing happens without a limit."""
        if self._cgroup is not None:
            super().watch(listener)
            if self._paused:
                listener.suspend(self._suspension)

    def stopped(self) -> None:
        """Resume all listeners, and cancel the timers."""
        self._setPaused(False)
        self._checks.stop()
        self._forgetAll()
        for each in (self._shedLog, self._pauseLog):
            each.flush()

    def connectionAccepted(self, transport: ObservedTransport) -> None:
        """Count one more connection; ask the kernel after some."""
        if not self._checks.running:
            self._checks.start()
        if self._buffersReduced:
            _reduceBuffers(transport)
        self._left -= 1
        if self._left <= 0:
            self._left = _BATCH
            self._setPaused(self._share() >= _TIGHT)

    def _check(self) -> float | None:
        share = self._share()
        self._findStuck(share)
        if share >= _TIGHT:
            trim()
            share = self._share()
            self._shed(share)
        self._left = _BATCH
        self._setPaused(share >= _FULL)
        if self._paused or self._connections():
            return _INTERVAL
        self._forgetAll()
        return None

    def _share(self) -> float:
        """Return the used share of the limit; reduce the buffers if that is necessary."""
        assert self._cgroup is not None
        share = self._cgroup.used() / self._cgroup.limit
        before, self._buffersReduced = self._buffersReduced, share >= _WATCHFUL
        if self._buffersReduced and not before:
            for transport in self._connections():
                _reduceBuffers(transport)
        return share

    def _connections(self) -> list[ObservedTransport]:
        return [each for one in self.listeners for each in one.connections]

    def _setPaused(self, paused: bool) -> None:
        if paused and not self._paused:
            self._pauseLog.count()
        before, self._paused = self._paused, paused
        for listener in self.listeners:
            if paused and not before:
                listener.suspend(self._suspension)
            elif before and not self._paused:  # what the first accepts may pause it again
                listener.resume(self._suspension)

    # Stuck connections

    def _findStuck(self, share: float) -> None:
        now = self._checks.now
        if share < _WATCHFUL:
            self._stuck.clear()
            self._searchedAt = -inf
        elif now - self._searchedAt >= _SEARCH_INTERVAL:
            self._searchedAt = now
            self._progress.prune()
            self._stuck = dict(self._search(self._connections()))

    def _search(
        self, connections: list[ObservedTransport]
    ) -> Iterable[tuple[ObservedTransport, tuple[int, float]]]:
        for transport in self._progress.mayHavePending(connections):
            taken = self._taken(transport)
            if taken is not None:
                known = self._stuck.get(transport, (None, 0.0))
                yield transport, (taken, known[1] if known[0] == taken else self._checks.now)

    def _taken(self, transport: ObservedTransport) -> int | None:
        """Return how many bytes a peer has taken; ``None`` if nothing waits for it."""
        if not transport.established:
            return 0  # bytes are no progress before the handshake is complete
        taken, waiting = self._progress.measure(transport)
        return taken if waiting else None

    def _shed(self, share: float) -> None:
        """Reset the connections longest stuck: as many as suffice if each holds what it may."""
        assert self._cgroup is not None
        excess = (share - _TIGHT) * self._cgroup.limit
        number = int(excess / _STUCK) + 1 if excess >= 0 else 0
        now = self._checks.now
        late = [each for each, (_, since) in self._stuck.items() if now - since >= PATIENCE]
        for transport in sorted(late, key=lambda each: self._stuck[each][1])[:number]:
            taken, _ = self._stuck.pop(transport)
            if transport.connected and self._taken(transport) == taken:
                self._shedLog.count(connectionPeerKey(transport))
                transport.setReason(WHY)
                transport.abortConnection()

    # The log

    def _logShed(self, count: int, peer: str | None) -> None:
        log.info(
            "shed={count} why={why} used={used} limit={limit} last={peer}",
            log_system="tcplab",
            count=count,
            peer=peer or "unix",
            **self._numbers(),
        )

    def _logPaused(self, count: int, _: object) -> None:
        log.info(
            "paused={count} why={why} used={used} limit={limit}: who connects waits in the backlog",
            log_system="tcplab",
            count=count,
            **self._numbers(),
        )

    def _numbers(self) -> dict[str, str]:
        assert self._cgroup is not None
        used, limit = self._cgroup.used(), self._cgroup.limit
        return {"why": WHY, "used": inMiB(used), "limit": inMiB(limit)}


def _reduceBuffers(transport: ObservedTransport) -> None:
    transport.readLimit = min(transport.readLimit, _SMALL)
    transport.bufferSize = min(transport.bufferSize, _SMALL)


def handshakeLimit(cgroup: Cgroup | None) -> float:
    """Return how many handshakes may run at once: an eighth of the memory is for them."""
    return inf if cgroup is None else max(1, cgroup.limit // 8 // _HANDSHAKE)


def inMiB(size: int) -> str:
    """Write bytes as MiB."""
    return f"{size / 2**20:.0f}MiB"
