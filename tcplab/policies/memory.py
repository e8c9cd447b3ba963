"""Memory: where there is little of it, those give way who cost it and do not get on."""

from __future__ import annotations

from math import inf
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from tcplab.listener.peeraddress import connectionPeerKey
from tcplab.listener.policy import Policy, PolicyListener
from tcplab.observers.throttle import ThrottledLog
from tcplab.policies.cgroup import Cgroup
from tcplab.policies.heaptrim import trim
from tcplab.policies.progress import Progress
from tcplab.wire.reasons import Reason

log = Logger()

#: Why accepting pauses; the cause of an end is the same word.
WHY = Reason.MEMORY

#: Shares of the limit. From the first on buffers are smaller, and it is seen who is stuck, so that
#: this is known at the second, where it begins to be tight; at the third nobody is let in any more.
#: What is left then is for those who are in, and grow.
_WATCHFUL, _TIGHT, _FULL = 0.5, 0.75, 0.9

#: Seconds between two looks, and from one at all connections to the next: 600 take 3 ms.
_INTERVAL, _THOROUGH = 0.1, 0.5

#: Accepted between two looks, when it is tight: 160 a second. When it is not, after so many the
#: kernel is asked again, which takes 10 us.
_BATCH = 16

#: Seconds without progress after which somebody is stuck, where there is need to know.
PATIENCE = 1.0

#: Bytes that are read at once, and above which nothing more is read for a peer that does not read:
#: with 192 KiB and 64 KiB, as it is otherwise, somebody stuck holds 180 KiB, so 40 KiB.
_SMALL = 16 * 1024

#: Bytes that somebody stuck may hold, see `tcplab.protocols.flow`, and that a handshake takes.
_STUCK, _HANDSHAKE = 256 * 1024, 48 * 1024


class MemoryPressure(Policy):
    """
    Keep a process from being killed for want of memory.

    Where a cgroup limits it (a container, a systemd unit), and half of that is taken, connections
    have smaller buffers from then on. When it is three quarters:

    - Memory that is free here is given back to the system, where the C library is glibc.
    - Those go who are stuck longest, as many as will do: they have taken nothing of what waits for
      them, or have been in a TLS handshake, for more than `PATIENCE`. Nobody else goes.
    - Newcomers are let in slowly, and above nine tenths not at all: they wait in the backlog.

    The page cache does not count: the kernel takes it back. Where there is no limit nothing of this
    is done. It ends where memory is taken faster than it can be looked at: by thousands of idle
    connections that all begin at once to send, and read nothing; or by a hook.

    :param cgroup: which; ``None``: there is no limit.
    :param clock: keeps the time; ``None`` means the reactor of the first port.
    """

    def __init__(self, cgroup: Cgroup | None, *, clock: IReactorTime | None = None) -> None:
        super().__init__(clock)
        self._cgroup = cgroup
        self._reason = f"{WHY} {id(self):x}"
        self._paused = False
        self._watchful = False
        self._left = _BATCH
        self._call: Any = None
        self._now = self._looked = 0.0
        self._searched = -inf
        self._progress = Progress()
        self._stuck: dict[Any, tuple[int, float]] = {}  # bytes taken, and since when no more
        self._shed = ThrottledLog(self._sayShed, self)
        self._pauses = ThrottledLog(self._sayPaused, self)

    def watch(self, listener: PolicyListener) -> None:
        """Look after the connections of this listener too, if there is a limit."""
        if self._cgroup is not None:
            super().watch(listener)
            if self._paused:
                listener.suspend(self._reason)

    def stopped(self) -> None:
        """Let all accept again, and leave no timer behind."""
        self._pause(False)
        self._rest()
        for summary in (self._shed, self._pauses):
            summary.flush()

    # What the listeners tell

    def connectionAccepted(self, transport: Any) -> None:
        """Count one more, and see after some whether there is room for others."""
        self._begin()
        if self._watchful:
            _reduceBuffers(transport)
        self._left -= 1
        if self._left <= 0:
            self._left = _BATCH
            self._pause(self._share() >= _TIGHT)

    # To look

    def _begin(self) -> None:
        if self._call is None:
            self._looked = self.clock.seconds()
            self._lookAgain()

    def _lookAgain(self) -> None:
        self._call = self.clock.callLater(_INTERVAL, self._look)

    def _rest(self) -> None:
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._call = None
        self._progress = Progress()
        self._stuck.clear()
        self._searched = -inf

    def _look(self) -> None:
        self._call = None
        try:
            self._letTimePass()
            share = self._share()
            self._search(share)
            if share >= _TIGHT:
                trim()
                share = self._share()
                self._relieve(share)
            self._left = _BATCH
            self._pause(share >= _FULL)
        finally:
            if self._paused or self._connections():
                self._lookAgain()
            else:
                self._rest()

    def _letTimePass(self) -> None:
        # Time in which we were stopped or starved is not theirs.
        seconds = self.clock.seconds()
        self._now += min(max(seconds - self._looked, 0.0), 2 * _INTERVAL)
        self._looked = seconds

    def _share(self) -> float:
        assert self._cgroup is not None
        share = self._cgroup.used() / self._cgroup.limit
        before, self._watchful = self._watchful, share >= _WATCHFUL
        if self._watchful and not before:
            for transport in self._connections():
                _reduceBuffers(transport)
        return share

    def _connections(self) -> list[Any]:
        return [each for one in self.listeners for each in one.connections]

    def _pause(self, paused: bool) -> None:
        if paused and not self._paused:
            self._pauses.count()
        before, self._paused = self._paused, paused
        for listener in self.listeners:
            if paused and not before:
                listener.suspend(self._reason)
            elif before and not self._paused:  # it may be again, by whom the first has let in
                listener.resume(self._reason)

    # Who is stuck

    def _search(self, share: float) -> None:
        if share < _WATCHFUL:
            self._stuck.clear()
            self._searched = -inf
        elif self._now - self._searched >= _THOROUGH:
            self._searched = self._now
            self._progress.forgetGone()
            moving = self._progress.moving(self._connections())
            found = [(each, self._taken(each)) for each in moving]
            self._stuck = {
                transport: self._since(transport, taken)
                for transport, taken in found
                if taken is not None
            }

    def _taken(self, transport: Any) -> int | None:
        """Return how many bytes a peer has taken; ``None`` if nothing waits for it."""
        if not transport.established:
            return 0  # whatever it says: it does not get on until it is through
        taken, waiting = self._progress.of(transport)
        return taken if waiting else None

    def _since(self, transport: Any, taken: int) -> tuple[int, float]:
        known = self._stuck.get(transport)
        return known if known is not None and known[0] == taken else (taken, self._now)

    def _relieve(self, share: float) -> None:
        """Put out who is stuck longest, as many as it takes if they hold what they may."""
        assert self._cgroup is not None
        number = int((share - _TIGHT) * self._cgroup.limit / _STUCK) + 1 if share >= _TIGHT else 0
        late = [each for each in self._stuck if self._now - self._stuck[each][1] >= PATIENCE]
        for transport in sorted(late, key=lambda each: self._stuck[each][1])[:number]:
            taken, _ = self._stuck.pop(transport)
            if transport.connected and self._taken(transport) == taken:
                self._shed.count(connectionPeerKey(transport))
                transport.setReason(Reason.MEMORY)
                transport.abortConnection()

    # The log

    def _sayShed(self, count: int, peer: str | None) -> None:
        log.info(
            "shed={count} why={why} used={used} limit={limit} last={peer}",
            log_system="tcplab",
            count=count,
            peer=peer or "unix",
            **self._numbers(),
        )

    def _sayPaused(self, count: int, _: object) -> None:
        log.info(
            "paused={count} why={why} used={used} limit={limit}: who connects waits in the backlog",
            log_system="tcplab",
            count=count,
            **self._numbers(),
        )

    def _numbers(self) -> dict[str, Any]:
        assert self._cgroup is not None
        used, limit = self._cgroup.used(), self._cgroup.limit
        return {"why": WHY, "used": inMiB(used), "limit": inMiB(limit)}


def _reduceBuffers(transport: Any) -> None:
    transport.readLimit = min(transport.readLimit, _SMALL)
    transport.bufferSize = min(transport.bufferSize, _SMALL)


def handshakeLimit(cgroup: Cgroup | None) -> float:
    """Return how many handshakes there may be at once: an eighth of what is there is for them."""
    return inf if cgroup is None else max(1, cgroup.limit // 8 // _HANDSHAKE)


def inMiB(size: int) -> str:
    """Write bytes as MiB."""
    return f"{size / 2**20:.0f}MiB"
