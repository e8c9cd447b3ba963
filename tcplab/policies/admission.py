"""Admission: who is let in, who waits in the backlog, and who is sent away."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable
from typing import Any

from twisted.logger import Logger

from tcplab.policies.summary import Summary
from tcplab.reactor.port import Listener

log = Logger()

#: What a peer is told that has too many connections already; it can read it, see `Admission`.
BUSY = b"busy\r\n"

#: Why accepting pauses, by the name of the option.
FULL = "max-connections"

# Handshakes under way from which on some are dropped, at least: a thousand clients in good order
# that come at once (a server that was restarted) are all unfinished at the same time. Where fewer
# are allowed the rest waits in the backlog, and the handshake's deadline makes room.
_BURST = 1000

_MAPPED = bytes(10) + b"\xff\xff"


class Admission:
    """
    Bound the connections of some listeners: the limits are totals over all that are watched.

    - With ``maxConnections`` open, accepting pauses, in the middle of a batch if it must: there is
      never one more. Who connects then waits in the backlog and is served as soon as one has left:
      nobody is sent away. Those in a handshake count too; those who are sent away do not.
    - A peer that has ``maxPerPeer`` open is told ``busy`` and sent away. The goodbye arrives, also
      while the peer still sends; over TLS there is but the end. A peer is an IPv4 address, or the
      /64 of an IPv6 address, which is what one customer is given at least (RFC 6177); an
      IPv4-mapped address is IPv4. Behind a proxy it is the proxy. Unix sockets have no peers.
    - With half of ``maxHandshakes`` unfinished, whoever comes where there is TLS may be dropped, by
      chance: at the half nobody is, at the whole everybody, and in between it rises evenly, as with
      OpenSSH's MaxStartups. So those who never finish do not fill the place, and who floods it is
      dropped more often than who does not. (A listener that has no unfinished ones lets one in.)

    What is counted is the connections of this process. The log tells of each at most once a second,
    with the count.

    :param maxConnections: ``None`` for no limit.
    :param maxPerPeer: ``None`` for no limit.
    :param maxHandshakes: ``None`` for ``maxConnections``, or 2,000 if that is less.
    :param clock: keeps the log to a line a second; ``None`` means the global reactor.
    :param chance: returns a random number, 0 <= x < 1.
    :ivar connections: how many are open.
    :raises ValueError: a limit is less than 1.
    """

    def __init__(
        self,
        *,
        maxConnections: int | None = None,
        maxPerPeer: int | None = None,
        maxHandshakes: int | None = None,
        clock: Any = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.maxConnections = _limit("maxConnections", maxConnections)
        self.maxPerPeer = _limit("maxPerPeer", maxPerPeer)
        usual = max(2 * _BURST, maxConnections or 0)
        self.maxHandshakes = _limit("maxHandshakes", maxHandshakes) or usual
        self.connections = 0
        self._chance = chance
        self._gates: dict[Listener, _Gate] = {}
        self._peers: dict[str, int] = {}
        self._full = False
        # Of two that watch a listener each has its own.
        self._reason = f"{FULL} {id(self):x}"
        self._paused = Summary(self._sayPaused, clock)
        self._refused = Summary(self._sayRefused, clock)
        self._dropped = Summary(self._sayDropped, clock)

    def watch(self, listener: Listener) -> None:
        """Bound the connections of this listener too, those included that it has."""
        if listener in self._gates:
            return
        if self._full:
            listener.suspend(self._reason)
        gate = self._gates[listener] = _Gate(self)
        listener.guard(gate)
        for transport in list(listener.connections):
            gate.connectionAccepted(transport)

    def stop(self) -> None:
        """Bound no connections any more, and leave no timer behind; `watch` begins anew."""
        gates, self._gates, self._peers, self.connections = self._gates, {}, {}, 0
        for listener, gate in gates.items():
            listener.guards.remove(gate)
            if self._full:
                listener.resume(self._reason)
        self._full = False
        for summary in (self._paused, self._refused, self._dropped):
            summary.tell()

    @property
    def handshakes(self) -> int:
        """How many have not finished their handshake."""
        return sum(len(gate.unfinished) for gate in self._gates.values())

    # What the gates ask and tell

    def refusal(self, address: Any, gate: _Gate) -> bytes | None:
        """Say goodbye to who comes from an address; nothing but the end, or ``None`` to let in."""
        if self.maxPerPeer is not None:
            peer = peerOf(address)
            if peer is not None and self._peers.get(peer, 0) >= self.maxPerPeer:
                self._refused.note(peer)
                return BUSY
        if gate.unfinished and self._crowded():
            self._dropped.note(peerOf(address))
            return b""
        return None

    def _crowded(self) -> bool:
        start = self.maxHandshakes // 2
        return self._chance() * (self.maxHandshakes - start) < self.handshakes - start

    def entered(self, peer: str | None) -> None:
        """Count one more."""
        self.connections += 1
        if peer is not None:
            self._peers[peer] = self._peers.get(peer, 0) + 1
        if self.maxConnections is not None and self.connections >= self.maxConnections:
            self._pause()

    def left(self, peer: str | None) -> None:
        """Count one less."""
        self.connections -= 1
        if peer is not None:
            self._peers[peer] -= 1
            if not self._peers[peer]:
                del self._peers[peer]
        if self._full and self.connections < (self.maxConnections or 0):
            self._resume()

    def _pause(self) -> None:
        if self._full:
            return
        self._full = True
        self._paused.note()
        for listener in self._gates:
            listener.suspend(self._reason)

    def _resume(self) -> None:
        self._full = False
        for listener in self._gates:
            if not self._full:  # it may be again by what the first has accepted
                listener.resume(self._reason)

    # The log

    def _sayPaused(self, count: int, _: object) -> None:
        log.info(
            "paused={count} why={option} limit={limit}: who connects waits in the backlog",
            log_system="tcplab",
            count=count,
            option=FULL,
            limit=self.maxConnections,
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


class _Gate:
    """
    What one listener asks and tells.

    :ivar unfinished: the transports that are in a handshake.
    """

    def __init__(self, admission: Admission) -> None:
        self.unfinished: set[Any] = set()
        self._admission = admission
        # Remembered, not asked again at the end: a proxy may tell meanwhile who a peer is.
        self._peers: dict[Any, str] = {}

    def admit(self, address: Any) -> bytes | None:
        return self._admission.refusal(address, self)

    def connectionAccepted(self, transport: Any) -> None:
        if not transport.opened:
            self.unfinished.add(transport)
        peer = None
        if self._admission.maxPerPeer is not None:
            address = transport.connection.peer
            peer = peerOf((getattr(address, "host", None), getattr(address, "port", None)))
            if peer is not None:
                self._peers[transport] = peer
        self._admission.entered(peer)

    def connectionOpened(self, transport: Any) -> None:
        self.unfinished.discard(transport)

    def connectionGone(self, transport: Any) -> None:
        self.unfinished.discard(transport)
        self._admission.left(self._peers.pop(transport, None))


def _limit(name: str, value: int | None) -> int | None:
    if value is not None and value < 1:
        raise ValueError(f"{name} must be 1 at least, not {value}")
    return value


def peerOf(address: Any) -> str | None:
    """
    Name who is counted as one peer: an IPv4 address, or the network of an IPv6 address.

    :param address: as ``accept()`` gives it.
    :return: ``None`` for a Unix socket.
    """
    host = address[0] if isinstance(address, tuple) and address else None
    if not isinstance(host, str) or not host:
        return None
    if ":" not in host:
        return host
    packed = socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
    if packed.startswith(_MAPPED):
        return socket.inet_ntop(socket.AF_INET, packed[12:])
    return socket.inet_ntop(socket.AF_INET6, packed[:8] + bytes(8)) + "/64"
