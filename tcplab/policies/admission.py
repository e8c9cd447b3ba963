"""Admission: limits on connections, on those of one peer, and on handshakes."""

from __future__ import annotations

from math import inf

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from tcplab.listener.peeraddress import connectionPeerKey, peerKey
from tcplab.listener.policy import Policy, PolicyListener
from tcplab.listener.servertransport import ObservedTransport
from tcplab.observers.throttle import ThrottledLog
from tcplab.policies.periodiccheck import PeriodicCheck
from tcplab.wire.reasons import Reason

log = Logger("tcplab.policies.admission")

#: What a peer is sent that has too many connections already; it can read it, see `Admission`.
BUSY = b"busy\r\n"

#: Why accepting pauses, by the name of the option; and why it pauses where there is TLS.
FULL = "max-connections"
HANDSHAKES = "handshakes"

#: Seconds that every handshake has, however many other clients wait. It takes a round trip, which
#: is 0.6 s by satellite; and a lost segment is sent again after 0.2 s or so.
HANDSHAKE_GRACE = 1.0

# Handshakes at once where the number of connections has no limit.
_MAX_HANDSHAKES = 2000


class Admission(Policy):
    """
    Limit the connections of some listeners; each limit is a total over all of them.

    - ``maxConnections``: at this number accepting pauses, in the middle of a batch if necessary.
      Further clients wait in the listen queue, and are accepted as connections close.
    - ``maxPerPeer``: a further connection of a peer is refused with ``busy``. The text arrives even
      while the peer still sends. Over TLS there is no text, only the end. A peer is an IPv4
      address, or the /64 of an IPv6 address, which is the least that one customer is given
      (RFC 6177). An IPv4-mapped address is IPv4. Behind a proxy it is the proxy, unless
      `ProxyProtocol` names another peer. Unix sockets have no peers.
    - ``maxHandshakes``: at this number, or at ``maxConnections`` in all, a new connection evicts
      another: the one that has been longest in its handshake, if for more than `HANDSHAKE_GRACE`.
      While all are younger, accepting pauses: for too many handshakes only where there is TLS. So
      an unfinished handshake delays no client for long. A long round trip costs no client its
      connection.

    Refused and evicted connections do not count. **Limit:** they close a turn of the reactor later.
    Until then as many more may be open as are accepted in a batch (64). A listener that has had no
    two connections in a handshake at once may accept two above ``maxHandshakes``.

    The connections of this process count. Each limit is logged at most once a second, with a count.

    :param maxConnections: ``None`` for no limit.
    :param maxPerPeer: ``None`` for no limit.
    :param maxHandshakes: ``None`` for half of ``maxConnections``, which leaves room for
        connections without a handshake; for 2,000 if that has no limit.
    :param clock: keeps the time; ``None`` means the reactor of the first port.
    :ivar connections: the number of open connections.
    :raises ValueError: a limit is less than 1.
    """

    def __init__(
        self,
        *,
        maxConnections: int | None = None,
        maxPerPeer: int | None = None,
        maxHandshakes: int | None = None,
        clock: IReactorTime | None = None,
    ) -> None:
        super().__init__(clock)
        self.maxConnections = _limit("maxConnections", maxConnections)
        self.maxPerPeer = _limit("maxPerPeer", maxPerPeer)
        usual = _MAX_HANDSHAKES if maxConnections is None else max(1, maxConnections // 2)
        self.maxHandshakes = _limit("maxHandshakes", maxHandshakes) or usual
        self.connections = 0
        self._most = inf if maxConnections is None else maxConnections
        self._admissions: dict[PolicyListener, ListenerAdmission] = {}
        self._peers: dict[str, int] = {}
        self._pauses: tuple[bool, bool] = False, False
        self._updates = 0
        self._checks = PeriodicCheck(self, HANDSHAKE_GRACE, self._check)
        # Two policies may suspend one listener, each for reasons of its own.
        self._reasons = f"{FULL} {id(self):x}", f"{HANDSHAKES} {id(self):x}"
        self._pauseLog = ThrottledLog(self._logPaused, self)
        self._refusalLog = ThrottledLog(self._logRefused, self)
        self._evictionLog = ThrottledLog(self._logEvicted, self)

    def watch(self, listener: PolicyListener) -> None:
        """Limit the connections of this listener too; those that are open count."""
        if listener in self._admissions:
            return
        super().watch(listener)
        admission = self._admissions[listener] = ListenerAdmission(self, listener)
        admission.setSuspended(self._reasons[0], self._pauses[0])
        admission.watch(listener)

    def stopped(self) -> None:
        """Resume all listeners, and cancel the timers."""
        admissions, self._admissions, self._peers, self.connections = self._admissions, {}, {}, 0
        self._update()
        for admission in admissions.values():
            admission.stop()
        for each in (self._pauseLog, self._refusalLog, self._evictionLog):
            each.flush()

    @property
    def handshakes(self) -> int:
        """The number of connections in a handshake."""
        return sum(len(each.handshaking) for each in self._admissions.values())

    # Called for each listener

    def refusal(self, address: object, hasHandshakes: bool) -> bytes | None:
        """Return the bytes to refuse a peer with, or ``None``; evict a connection when full."""
        if self.maxPerPeer is not None:
            peer = peerKey(address)
            if peer is not None and self._peers.get(peer, 0) >= self.maxPerPeer:
                self._refusalLog.count(peer)
                return BUSY
        if self.connections >= self._most or (hasHandshakes and self._tooManyHandshakes):
            self._evictOldest()
        return None

    def added(self, peer: str | None, hasHandshakes: bool) -> None:
        """Count one more connection, and where there are handshakes one more of those."""
        self.connections += 1
        if peer is not None:
            self._peers[peer] = self._peers.get(peer, 0) + 1
        if self.connections >= self._most or (hasHandshakes and self._tooManyHandshakes):
            self._update()

    def established(self) -> None:
        """Count one handshake less."""
        if self.connections >= self._most or self._pauses[1]:
            self._update()

    def removed(self, peer: str | None) -> None:
        """Count one connection less."""
        self.connections -= 1
        if peer is not None:
            self._peers[peer] -= 1
            if not self._peers[peer]:
                del self._peers[peer]
        if any(self._pauses):
            self._update()

    # Room for further connections

    @property
    def _tooManyHandshakes(self) -> bool:
        # Without TLS a connection is in a handshake for a moment only.
        counted = [
            len(each.handshaking) for each in self._admissions.values() if each.hasHandshakes
        ]
        return sum(counted) >= self.maxHandshakes

    def _evictOldest(self) -> None:
        admission = self._oldest()
        if admission is not None and not self._protectedFor(admission):
            transport = next(iter(admission.handshaking))
            self._evictionLog.count(connectionPeerKey(transport))
            admission.evict(transport)

    def _oldest(self) -> ListenerAdmission | None:
        """Return the listener with the connection that has been longest in its handshake."""
        each = self._admissions.values()
        candidates = [one for one in each if one.hasHandshakes and one.handshaking]
        return min(candidates, key=_oldestAccept, default=None)

    def _protectedFor(self, admission: ListenerAdmission) -> float:
        """Return the seconds until the oldest handshake of a listener may be evicted."""
        return max(0.0, _oldestAccept(admission) + HANDSHAKE_GRACE - self.clock.seconds())

    def _update(self) -> None:
        """Accept while there is room, or a connection to evict."""
        full, tooMany = self.connections >= self._most, self._tooManyHandshakes
        oldest = self._oldest() if full or tooMany else None
        protected = None if oldest is None else self._protectedFor(oldest)
        pauses = full and protected != 0, tooMany and protected != 0
        for before, now, why in zip(self._pauses, pauses, (FULL, HANDSHAKES), strict=True):
            if now and not before:
                self._pauseLog.count(why)
        self._pauses = pauses
        if any(pauses) and protected is not None:
            self._checks.start(protected)
        else:
            self._checks.stop()
        self._updates += 1
        update = self._updates
        for admission in list(self._admissions.values()):
            suspended = pauses[0], pauses[1] and admission.hasHandshakes
            for reason, value in zip(self._reasons, suspended, strict=True):
                if update == self._updates:  # else a connection was accepted, and updated all
                    admission.setSuspended(reason, value)

    def _check(self) -> None:
        self._update()

    # The log

    def _logPaused(self, count: int, why: str) -> None:
        log.info(
            "paused={count} why={option} limit={limit}: new clients wait in the listen queue",
            log_system="tcplab",
            count=count,
            option=why,
            limit=self.maxConnections if why == FULL else self.maxHandshakes,
        )

    def _logRefused(self, count: int, peer: str) -> None:
        log.info(
            "refused={count} why=max-per-peer limit={limit} last={peer}",
            log_system="tcplab",
            count=count,
            limit=self.maxPerPeer,
            peer=peer,
        )

    def _logEvicted(self, count: int, peer: str | None) -> None:
        log.info(
            "dropped={count} why=handshakes unfinished={handshakes} limit={limit} last={peer}",
            log_system="tcplab",
            count=count,
            handshakes=self.handshakes,
            limit=self.maxHandshakes,
            peer=peer or "unix",
        )


class ListenerAdmission(Policy):
    """
    Admission for one listener: its connections in a handshake.

    :ivar handshaking: their transports, in the order in which they were accepted.
    :ivar hasHandshakes: whether handshakes take time here. Without TLS each connection is
        established before the next is accepted.
    """

    def __init__(self, admission: Admission, listener: PolicyListener) -> None:
        super().__init__()
        self.handshaking: dict[ObservedTransport, None] = {}
        self.hasHandshakes = False
        self._admission = admission
        self._listener = listener
        self._reasons: set[str] = set()
        self._evicted: set[ObservedTransport] = set()
        # Kept from accept to the end: the peer of a transport may change in between.
        self._peers: dict[ObservedTransport, str] = {}

    def setSuspended(self, reason: str, suspended: bool) -> None:
        """Suspend the listener for a reason, or resume it."""
        if suspended and reason not in self._reasons:
            self._reasons.add(reason)
            self._listener.suspend(reason)
        elif not suspended and reason in self._reasons:
            self._reasons.remove(reason)
            self._listener.resume(reason)

    def evict(self, transport: ObservedTransport) -> None:
        """Reset a connection in a handshake: from now on it does not count."""
        del self.handshaking[transport]
        self._evicted.add(transport)
        self._removed(transport)
        transport.setReason(Reason.HANDSHAKE_TIMEOUT)
        transport.abortConnection()

    # Hooks

    def admit(self, address: object) -> bytes | None:
        self.hasHandshakes = self.hasHandshakes or bool(self.handshaking)
        return self._admission.refusal(address, self.hasHandshakes)

    def connectionAccepted(self, transport: ObservedTransport) -> None:
        if not transport.established:
            # admit() has not seen connections that were open before this policy was added.
            self.hasHandshakes = self.hasHandshakes or bool(self.handshaking)
            self.handshaking[transport] = None
        peer = None
        if self._admission.maxPerPeer is not None:
            peer = connectionPeerKey(transport)
            if peer is not None:
                self._peers[transport] = peer
        self._admission.added(peer, self.hasHandshakes)

    def connectionOpened(self, transport: ObservedTransport) -> None:
        if transport in self.handshaking:
            del self.handshaking[transport]
            if self.hasHandshakes:
                self._admission.established()

    def connectionClosed(self, transport: ObservedTransport) -> None:
        if transport in self._evicted:
            self._evicted.remove(transport)
        else:
            self.handshaking.pop(transport, None)
            self._removed(transport)

    def stopped(self) -> None:
        for reason in list(self._reasons):
            self.setSuspended(reason, False)

    def _removed(self, transport: ObservedTransport) -> None:
        self._admission.removed(self._peers.pop(transport, None))


def _oldestAccept(admission: ListenerAdmission) -> float:
    return next(iter(admission.handshaking)).accepted


def _limit(name: str, value: int | None) -> int | None:
    if value is not None and value < 1:
        raise ValueError(f"{name} must be 1 at least, not {value}")
    return value
