"""Memory: the limit of the process's cgroup, what keeps it below that, and what frees its heap."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from pathlib import Path, PurePosixPath

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from tcplab.listener.peeraddress import connectionPeerKey
from tcplab.listener.policy import Policy, PolicyListener
from tcplab.listener.servertransport import ObservedTransport
from tcplab.observers.throttle import ThrottledLog
from tcplab.policies.periodiccheck import PeriodicCheck
from tcplab.policies.progress import Progress
from tcplab.wire.reasons import Reason

log = Logger("tcplab.policies.memory")

#: Where the kernel lists the cgroups of this process, and where their files are.
OWN, ROOT = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")

#: Limits from here on mean "no limit": version 1 writes the largest number of pages.
_UNLIMITED = 2**60

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
#: the values without pressure, a stuck connection holds up to 211 KiB; with this 40 KiB.
_SMALL = 16 * 1024

#: Bytes that a stuck connection may hold, see `tcplab.protocols.flow`, and that a handshake takes.
_STUCK, _HANDSHAKE = 256 * 1024, 48 * 1024

#: Seconds between two checks whether to trim.
_TRIM_INTERVAL = 1.0

#: Closed connections that are worth a trim: fewer leave too little behind.
_MIN_CLOSED = 16


@dataclass(frozen=True)
class _Version:
    """The names of the files, and those of the page cache in ``memory.stat``."""

    limit: str
    used: str
    cache: tuple[str, ...]


_V1 = _Version(
    "memory.limit_in_bytes",
    "memory.usage_in_bytes",
    ("total_active_file", "total_inactive_file"),
)
_V2 = _Version("memory.max", "memory.current", ("active_file", "inactive_file"))


class Cgroup:
    """
    A cgroup that limits memory.

    :ivar limit: bytes that all processes in it may use together. In version 2 of cgroups they
        include what the kernel holds for connections; in version 1 they do not.
    """

    def __init__(self, folder: Path, version: _Version, limit: int) -> None:
        self.limit = limit
        self._folder = folder
        self._version = version

    def used(self) -> int:
        """Return the used bytes without the page cache, which the kernel takes back; or 0."""
        try:
            used = int((self._folder / self._version.used).read_text())
            # The cache takes several times as long to read, and matters only under pressure.
            return used if used < self.limit // 2 else used - self._cache()
        except (OSError, ValueError):
            return 0

    def _cache(self) -> int:
        words = (self._folder / "memory.stat").read_text().split()
        found = dict(zip(words[::2], words[1::2], strict=True))
        return sum(int(found.get(name, 0)) for name in self._version.cache)


def memoryCgroup(own: Path = OWN, root: Path = ROOT) -> Cgroup | None:
    """Return the cgroup with the lowest limit of all that include this process, or ``None``."""
    return min(_limited(own, root), key=lambda each: each.limit, default=None)


def _limited(own: Path, root: Path) -> Iterator[Cgroup]:
    for folder, version in _folders(own, root):
        try:
            limit = int((folder / version.limit).read_text())
        except (OSError, ValueError):  # the file is missing, or holds "max"
            continue
        if limit < _UNLIMITED:
            yield Cgroup(folder, version, limit)


def _folders(own: Path, root: Path) -> Iterator[tuple[Path, _Version]]:
    """Return all candidates; in a container the listed path may be one of the host."""
    for names, path in _entries(own):
        places: Iterable[Path] = (root / "memory",) if "memory" in names else ()
        if names == [""]:
            places = root, root / "unified"
        version = _V2 if names == [""] else _V1
        inner = PurePosixPath(path.lstrip("/"))
        for place in places:
            for each in (inner, *inner.parents):
                yield place / each, version


def _entries(own: Path) -> Iterator[tuple[list[str], str]]:
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, names, path = (line + "::").split(":", 2)
        yield names.split(","), path.removesuffix("::")


class MemoryPressure(Policy):
    """
    Keep the memory of a process below the limit of its cgroup (a container, a systemd unit).

    Above half of the limit connections have smaller buffers. Above three quarters:

    - Free memory is returned to the system, where the C library is glibc.
    - Stuck connections are reset, the longest stuck first, as many as necessary. For more than
      `PATIENCE` the peer of such a connection has taken nothing of what waits for it, or has not
      completed its TLS handshake. No other connection is reset.
    - Connections are accepted slowly, and above nine tenths not at all: further clients wait in the
      listen queue.

    The page cache does not count: the kernel takes it back. Without a limit nothing is done.
    **Limit:** memory may be taken faster than it is checked. Thousands of idle connections that
    start to send at once, and read nothing, can do so, and so can a hook.

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
            "paused={count} why={why} used={used} limit={limit}: new clients wait in the listen"
            " queue",
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


class HeapTrim(Policy):
    """
    Return free memory to the system once most connections of a burst have closed.

    malloc keeps free memory that lies between two pieces in use: 500 peers that never read leave
    59 MiB behind, until the next burst. At most once a second all of it is returned, where the C
    library is glibc.

    :param clock: keeps the time; ``None`` means the reactor of the first port.
    """

    def __init__(self, *, clock: IReactorTime | None = None) -> None:
        super().__init__(clock)
        self._accepted = 0
        self._checks = PeriodicCheck(self, _TRIM_INTERVAL, self._check)

    def connectionAccepted(self, transport: object) -> None:
        """Count one more connection."""
        self._accepted += 1
        if not self._checks.running:
            self._checks.start()

    def stopped(self) -> None:
        """Cancel the timer."""
        self._accepted = 0
        self._checks.stop()

    def _check(self) -> float | None:
        connections = sum(len(listener.connections) for listener in self.listeners)
        closed = self._accepted - connections
        if closed >= max(connections, _MIN_CLOSED):
            self._accepted = connections
            if not connections:
                gc.collect()  # quick now, and faults leave reference cycles behind
            trim()
        return _TRIM_INTERVAL if connections else None


def trim() -> None:
    """Return the free memory of malloc to the system; 100 MiB of holes take 12 ms."""
    with suppress(OSError, AttributeError):  # no glibc
        ctypes.CDLL(None).malloc_trim(0)


def handshakeLimit(cgroup: Cgroup | None) -> float:
    """Return how many handshakes may run at once: an eighth of the memory is for them."""
    return inf if cgroup is None else max(1, cgroup.limit // 8 // _HANDSHAKE)


def inMiB(size: int) -> str:
    """Write bytes as MiB."""
    return f"{size / 2**20:.0f}MiB"
