"""Deadlines: a connection of any protocol whose peer makes no progress is reset."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import inf
from typing import TypeVar

from twisted.internet.interfaces import IReactorTime

from tcplab.listener.policy import Policy, PolicyListener
from tcplab.listener.servertransport import ObservedTransport
from tcplab.policies.periodiccheck import PeriodicCheck
from tcplab.policies.progress import Progress
from tcplab.policies.socketoptions import growReceiveBuffer
from tcplab.wire.reasons import Reason

# A peer gets another deadline if it takes this many bytes, or all that wait for it. A kernel opens
# its window by a segment, or by half of its buffer (RFC 9293, 3.8.6.2.2). A segment has 536 bytes
# at least (3.7.1). A peer that takes less in all that time makes no real progress.
_MIN_PROGRESS = 536

# Seconds between two checks, at least: one at 10,000 connections takes 3 ms, with an idle deadline
# 6 ms.
_MIN_INTERVAL = 0.05

# The same while a handshake is about to expire, so that those of a burst expire one by one.
_MIN_DELAY = 0.2

# Connections that are reset in one turn of the reactor: each takes 0.1 ms, with TLS, and others
# wait.
_BATCH = 50

_Value = TypeVar("_Value")


class Deadlines(Policy):
    """
    Reset the connections of some listeners whose peers make no progress.

    - ``handshake``: the TLS handshake is not complete this long after accept. The deadline is
      absolute: a peer that sends byte by byte has no more time than others.
    - ``idle``: for this long no byte has arrived, and the peer has taken none.
    - ``write``: bytes wait for the peer, in this process or in the kernel. For this long the peer
      has taken less than a segment of them. Bytes that wait after a close count as well, and so
      does a close_notify of TLS until it is answered. **Limit:** a window opens in steps (a
      segment; on loopback 64 KiB). A peer that reads less than a step in this time is reset.

    The reason is ``handshake-timeout``, ``idle-timeout`` or ``write-timeout``. The reset comes no
    earlier than the deadline. It is late by a tenth of it at most, and never by more than 1 s: of
    a handshake 0.2 s, of deadlines under 1 s 0.1 s. A late reactor adds its delay.

    One check compares the counters of all connections with those of the last check. There is no
    timer per connection, nothing in the way of a byte, and no check while no connection is open.
    Time in which the process was stopped or starved does not count, and neither does a step of the
    system's clock. Before a reset, what has arrived is read.

    :param handshake: seconds; ``None``: no limit. 5 s are enough for two round trips, with a lost
        segment that is sent again after 1 and 2 s. ranch and thousand_island have 5 s too.
    :param idle: seconds; ``None``: no limit.
    :param write: seconds; ``None``: no limit. In 30 s TCP has retried after 0.2, 0.4 … 12.8 s: a
        network that was down for 20 s has recovered.
    :param clock: keeps the time; ``None`` means the reactor of the first port.
    :raises ValueError: a deadline is not more than 0.
    """

    def __init__(
        self,
        *,
        handshake: float | None = 5.0,
        idle: float | None = None,
        write: float | None = 30.0,
        clock: IReactorTime | None = None,
    ) -> None:
        super().__init__(clock)
        self._handshake = _seconds("handshake", handshake)
        self._idle = _seconds("idle", idle)
        self._write = _seconds("write", write)
        self._interval = _interval(self._handshake, self._idle, self._write)
        self._checks = PeriodicCheck(self, self._interval, self._check)
        self._forgetAll()

    def _forgetAll(self) -> None:
        self._someClosed = False
        self._progress = Progress()
        self._overdue: list[ObservedTransport] = []
        # By transport: the time of accept, during the handshake.
        self._accepted: dict[ObservedTransport, float] = {}
        # Bytes received and sent, and since when no more.
        self._activity: dict[ObservedTransport, tuple[int, float]] = {}
        # Bytes that the peer has to have taken, and since when.
        self._goals: dict[ObservedTransport, tuple[int, float]] = {}

    def watch(self, listener: PolicyListener) -> None:
        """Limit the connections of this listener too; nothing happens without a deadline."""
        if self._interval < inf:
            super().watch(listener)

    def stopped(self) -> None:
        """Cancel the timer."""
        self._pause()

    def connectionAccepted(self, transport: object) -> None:
        """Start to check with the first connection."""
        if not self._checks.running:
            self._checks.start()

    def connectionClosed(self, transport: ObservedTransport) -> None:
        """Stop to check with the last connection."""
        self._someClosed = True
        if not (transport.listener.connections or self._hasConnections()):
            self._pause()

    def _hasConnections(self) -> bool:
        return any(listener.connections for listener in self.listeners)

    def _pause(self) -> None:
        self._checks.stop()
        self._forgetAll()

    # The check: find what is overdue; read what has arrived meanwhile; reset what still is overdue

    def _check(self) -> float:
        if self._overdue:
            self._resetSome()
        else:
            self._findOverdue()
        if self._overdue:
            return (
                0  # the reactor reads first: bytes may have arrived while the process was stopped
            )
        if self._someClosed:
            self._prune()
        return self._delay()

    def _findOverdue(self) -> None:
        connections = [each for one in self.listeners for each in one.connections]
        self._overdue = list(self._expired(connections))
        self._accepted = {
            each: since
            for each, since in self._accepted.items()
            if each.connected and not each.established
        }

    def _resetSome(self) -> None:
        some, self._overdue = self._overdue[:_BATCH], self._overdue[_BATCH:]
        for transport, reason in self._expired([each for each in some if each.connected]).items():
            transport.setReason(reason)
            transport.abortConnection()

    def _prune(self) -> None:
        self._someClosed = False
        self._progress.prune()
        self._goals = _connected(self._goals)
        self._activity = _connected(self._activity)

    def _delay(self) -> float:
        if not self._accepted:
            return self._interval
        due = min(self._accepted.values()) + self._handshake - self._checks.now
        return min(self._interval, max(due, _MIN_DELAY))

    # Which deadlines have expired

    def _expired(self, connections: Sequence[ObservedTransport]) -> dict[ObservedTransport, Reason]:
        """Return the connections that are past a deadline, each with the reason."""
        expired = {}
        if self._idle < inf:
            expired.update(dict.fromkeys(self._idleExpired(connections), Reason.IDLE_TIMEOUT))
        for transport in self._progress.mayHavePending(connections):
            if not transport.established and self._handshakeExpired(transport):
                expired[transport] = Reason.HANDSHAKE_TIMEOUT
            elif self._checksWrites(transport) and self._writeExpired(transport):
                expired[transport] = Reason.WRITE_TIMEOUT
        return expired

    def _checksWrites(self, transport: ObservedTransport) -> bool:
        # In a handshake its deadline is the first; a query of the kernel about 5,000 took 30 ms.
        return transport.established or self._write < self._handshake

    def _handshakeExpired(self, transport: ObservedTransport) -> bool:
        checks = self._checks
        accepted = self._accepted.get(transport)
        if accepted is None:
            age = min(max(checks.checkedAt - transport.accepted, 0.0), checks.passed)
            accepted = self._accepted[transport] = checks.now - age
        return checks.now - accepted >= self._handshake

    def _writeExpired(self, transport: ObservedTransport) -> bool:
        now = self._checks.now
        taken, waiting = self._progress.measure(transport)
        goal, since = self._goals.get(transport, (taken, now))
        if waiting:
            growReceiveBuffer(transport)
        if waiting and taken < goal:
            return now - since >= self._write
        if waiting:
            self._goals[transport] = (taken + min(waiting, _MIN_PROGRESS), now)
        elif self._goals.pop(transport, None):
            self._activity.pop(transport, None)  # the peer has taken the rest just now
        return False

    def _idleExpired(self, connections: Iterable[ObservedTransport]) -> Iterator[ObservedTransport]:
        # One loop without a call inside: it runs for every connection.
        activity, now = self._activity, self._checks.now
        for transport in connections:
            moved = transport.received + transport.sent
            before = activity.get(transport)
            if before is None or moved != before[0]:
                activity[transport] = (moved, now)
            elif now - before[1] >= self._idle:
                # What left this process may still be on its way to the peer.
                _, since = self._goals.get(transport, before)
                if now - since >= self._idle:
                    yield transport


def _seconds(name: str, value: float | None) -> float:
    if value is not None and not value > 0:
        raise ValueError(f"{name} must be more than 0 seconds, not {value}")
    return inf if value is None else value


def _interval(handshake: float, idle: float, write: float) -> float:
    """
    Return the seconds between two checks; infinite if there is no deadline.

    The start of a handshake is known. Any other event came after the last check: one interval is
    lost there, and another until the check that finds the deadline expired.
    """
    shortest = min(_tolerance(handshake), _tolerance(idle) / 2, _tolerance(write) / 2)
    return max(_MIN_INTERVAL, shortest)


def _tolerance(deadline: float) -> float:
    """Return by how much a reset may come later than its deadline."""
    return inf if deadline == inf else min(1.0, deadline / 10)


def _connected(values: dict[ObservedTransport, _Value]) -> dict[ObservedTransport, _Value]:
    return {transport: value for transport, value in values.items() if transport.connected}
