"""Admission: limits on connections, on those of one peer, and on handshakes."""

from __future__ import annotations

from typing import Any, Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from tcplab.listener.peeraddress import connectionPeerKey, peerKey
from tcplab.listener.policy import Policy, PolicyListener
from tcplab.observers.throttle import ThrottledLog
from tcplab.wire.reasons import Reason


class Hall(Protocol):
    """
    What is behind the gates of several listeners.

    :ivar maxPerPeer: ``None`` if nobody has to know who comes from where.
    """

    maxPerPeer: int | None

    def refusal(self, address: Any, gate: Gate) -> bytes | None: ...

    def entered(self, peer: str | None, slow: bool) -> None: ...

    def finished(self) -> None: ...

    def left(self, peer: str | None) -> None: ...


class Gate(Policy):
    """
    What one listener asks and tells.

    :ivar unfinished: the transports that are in a handshake; who came first stands first.
    :ivar slow: there are handshakes here. Where there are none, each is finished before the next.
    """

    def __init__(self, hall: Hall, listener: PolicyListener) -> None:
        super().__init__()
        self.unfinished: dict[Any, None] = {}
        self.slow = False
        self._hall = hall
        self._listener = listener
        self._reasons: set[str] = set()
        self._dropped: set[Any] = set()
        # Remembered, not asked again at the end: a proxy may tell meanwhile who a peer is.
        self._peers: dict[Any, str] = {}

    def shut(self, reason: str, shut: bool) -> None:
        """Accept nobody for this reason, or no longer for it."""
        if shut and reason not in self._reasons:
            self._reasons.add(reason)
            self._listener.suspend(reason)
        elif not shut and reason in self._reasons:
            self._reasons.remove(reason)
            self._listener.resume(reason)

    def stopped(self) -> None:
        """Leave the listener to itself."""
        for reason in list(self._reasons):
            self.shut(reason, False)

    def drop(self, transport: Any) -> None:
        """Put out somebody who has not finished: from now on it takes nobody's place."""
        del self.unfinished[transport]
        self._dropped.add(transport)
        self._left(transport)
        transport.setReason(Reason.HANDSHAKE_TIMEOUT)
        transport.abortConnection()

    # What the listener asks and tells

    def admit(self, address: Any) -> bytes | None:
        self.slow = self.slow or bool(self.unfinished)
        return self._hall.refusal(address, self)

    def connectionAccepted(self, transport: Any) -> None:
        if not transport.established:
            self.slow = self.slow or bool(self.unfinished)  # those who were here before us
            self.unfinished[transport] = None
        peer = None
        if self._hall.maxPerPeer is not None:
            peer = connectionPeerKey(transport)
            if peer is not None:
                self._peers[transport] = peer
        self._hall.entered(peer, self.slow)

    def connectionOpened(self, transport: Any) -> None:
        if transport in self.unfinished:
            del self.unfinished[transport]
            if self.slow:
                self._hall.finished()

    def connectionClosed(self, transport: Any) -> None:
        if transport in self._dropped:
            self._dropped.remove(transport)
        else:
            self.unfinished.pop(transport, None)
            self._left(transport)

    def _left(self, transport: Any) -> None:
        self._hall.left(self._peers.pop(transport, None))


log = Logger("tcplab.policies.admission")

#: What a peer is told that has too many connections already; it can read it, see `Admission`.
BUSY = b"busy\r\n"

#: Why accepting pauses, by the name of the option; and why it does where there is TLS.
FULL = "max-connections"
HANDSHAKES = "handshakes"

#: Seconds that everybody has for a handshake, however many others want one: it takes a round trip,
#: which is 0.6 s by satellite; and a lost segment is sent again after 0.2 s or so.
HANDSHAKE_GRACE = 1.0

# Handshakes under way where nobody has said how many connections there may be.
_HANDSHAKES = 2000


class Admission(Policy):
    """
    Bound the connections of some listeners: the limits are totals over all that are watched.

    - With ``maxConnections`` open, accepting pauses, in the middle of a batch if it must. Who
      connects then waits in the backlog and is served as soon as one has left: nobody is sent away.
    - A peer that has ``maxPerPeer`` open is told ``busy`` and sent away. The goodbye arrives, also
      while the peer still sends; over TLS there is but the end. A peer is an IPv4 address, or the
      /64 of an IPv6 address, which is what one customer is given at least (RFC 6177); an
      IPv4-mapped address is IPv4. Behind a proxy it is the proxy. Unix sockets have no peers.
    - Those in a handshake have their place only until somebody needs it. With ``maxHandshakes`` of
      them, or ``maxConnections`` in all, who comes next takes the place of the one that has been
      longest in its handshake, if that is more than `HANDSHAKE_GRACE`. While all are younger
      accepting pauses: for too many handshakes only where there is TLS. So who never finishes keeps
      nobody waiting for long, and who only has a long way is not cut off. (A listener that has none
      lets one in.)

    Who is sent away does not count, nor does who has lost its place. They are gone a turn of the
    reactor later: for a moment there may be as many more as are accepted in a batch (64).

    What is counted is the connections of this process. The log tells of each at most once a second,
    with the count.

    :param maxConnections: ``None`` for no limit.
    :param maxPerPeer: ``None`` for no limit.
    :param maxHandshakes: ``None`` for half of ``maxConnections``, so that there is room for those
        who need none; or for 2,000, if there is no such limit.
    :param clock: keeps the time; ``None`` means the reactor of the first port.
    :ivar connections: how many are open.
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
        usual = _HANDSHAKES if maxConnections is None else max(1, maxConnections // 2)
        self.maxHandshakes = _limit("maxHandshakes", maxHandshakes) or usual
        self.connections = 0
        self._gates: dict[PolicyListener, Gate] = {}
        self._peers: dict[str, int] = {}
        self._pauses: tuple[bool, bool] = False, False
        self._again: Any = None
        self._settled = 0
        # Of two that watch a listener each has its own.
        self._reasons = f"{FULL} {id(self):x}", f"{HANDSHAKES} {id(self):x}"
        self._paused = ThrottledLog(self._sayPaused, self)
        self._refused = ThrottledLog(self._sayRefused, self)
        self._dropped = ThrottledLog(self._sayDropped, self)

    def watch(self, listener: PolicyListener) -> None:
        """Bound the connections of this listener too, those included that it has."""
        if listener in self._gates:
            return
        super().watch(listener)
        gate = self._gates[listener] = Gate(self, listener)
        gate.shut(self._reasons[0], self._pauses[0])
        gate.watch(listener)

    def stopped(self) -> None:
        """Leave no timer behind."""
        gates, self._gates, self._peers, self.connections = self._gates, {}, {}, 0
        self._settle()
        for gate in gates.values():
            gate.stop()
        for summary in (self._paused, self._refused, self._dropped):
            summary.flush()

    @property
    def handshakes(self) -> int:
        """How many have not finished their handshake."""
        return sum(len(gate.unfinished) for gate in self._gates.values())

    # What the gates ask and tell

    def refusal(self, address: Any, gate: Gate) -> bytes | None:
        """Say goodbye to who comes from an address, or ``None`` to let in; and make room."""
        if self.maxPerPeer is not None:
            peer = peerKey(address)
            if peer is not None and self._peers.get(peer, 0) >= self.maxPerPeer:
                self._refused.count(peer)
                return BUSY
        if self._full or (gate.slow and self._crowded):
            self._makeRoom()
        return None

    def entered(self, peer: str | None, slow: bool) -> None:
        """Count one more; where there are handshakes, one more of those too."""
        self.connections += 1
        if peer is not None:
            self._peers[peer] = self._peers.get(peer, 0) + 1
        if self._full or (slow and self._crowded):
            self._settle()

    def finished(self) -> None:
        """Note that one has finished its handshake."""
        if self._full or self._pauses[1]:
            self._settle()

    def left(self, peer: str | None) -> None:
        """Count one less."""
        self.connections -= 1
        if peer is not None:
            self._peers[peer] -= 1
            if not self._peers[peer]:
                del self._peers[peer]
        if any(self._pauses):
            self._settle()

    # Room

    @property
    def _full(self) -> bool:
        return self.maxConnections is not None and self.connections >= self.maxConnections

    @property
    def _crowded(self) -> bool:
        # Where there is no TLS one that comes in is unfinished for a moment.
        slow = [len(gate.unfinished) for gate in self._gates.values() if gate.slow]
        return sum(slow) >= self.maxHandshakes

    def _makeRoom(self) -> None:
        gate = self._oldest()
        if gate is not None and not self._spared(gate):
            transport = next(iter(gate.unfinished))
            self._dropped.count(connectionPeerKey(transport))
            gate.drop(transport)

    def _oldest(self) -> Gate | None:
        """Return by whose gate the one has come that has been longest in its handshake."""
        gates = [gate for gate in self._gates.values() if gate.slow and gate.unfinished]
        return min(gates, key=_since, default=None)

    def _spared(self, gate: Gate) -> float:
        """Return for how many seconds yet the first of a gate cannot be put out."""
        now: float = self.clock.seconds()
        return max(0.0, _since(gate) + HANDSHAKE_GRACE - now)

    def _settle(self) -> None:
        """Accept as long as there is room, or somebody who can be put out."""
        full, crowded = self._full, self._crowded
        oldest = self._oldest() if full or crowded else None
        left = None if oldest is None else self._spared(oldest)
        pauses = full and left != 0, crowded and left != 0
        for before, now, why in zip(self._pauses, pauses, (FULL, HANDSHAKES), strict=True):
            if now and not before:
                self._paused.count(why)
        self._pauses = pauses
        self._wait(left if any(pauses) else None)
        self._settled += 1
        turn = self._settled
        for gate in list(self._gates.values()):
            for reason, shut in zip(
                self._reasons, (pauses[0], pauses[1] and gate.slow), strict=True
            ):
                if turn == self._settled:  # or who has been accepted meanwhile has settled all
                    gate.shut(reason, shut)

    def _wait(self, seconds: float | None) -> None:
        if seconds is None and self._again is not None:
            self._again.cancel()
            self._again = None
        elif seconds is not None and self._again is None:
            self._again = self.clock.callLater(seconds, self._look)

    def _look(self) -> None:
        self._again = None
        self._settle()

    # The log

    def _sayPaused(self, count: int, why: str) -> None:
        log.info(
            "paused={count} why={option} limit={limit}: who connects waits in the backlog",
            log_system="tcplab",
            count=count,
            option=why,
            limit=self.maxConnections if why == FULL else self.maxHandshakes,
        )

    def _sayRefused(self, count: int, peer: str) -> None:
        log.info(
            "refused={count} why=max-per-peer limit={limit} last={peer}",
            log_system="tcplab",
            count=count,
            limit=self.maxPerPeer,
            peer=peer,
        )

    def _sayDropped(self, count: int, peer: str | None) -> None:
        log.info(
            "dropped={count} why=handshakes unfinished={handshakes} limit={limit} last={peer}",
            log_system="tcplab",
            count=count,
            handshakes=self.handshakes,
            limit=self.maxHandshakes,
            peer=peer or "unix",
        )


def _since(gate: Gate) -> float:
    accepted: float = next(iter(gate.unfinished)).accepted
    return accepted


def _limit(name: str, value: int | None) -> int | None:
    if value is not None and value < 1:
        raise ValueError(f"{name} must be 1 at least, not {value}")
    return value
