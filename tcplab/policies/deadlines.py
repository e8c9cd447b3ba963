"""Deadlines: a connection whose peer does not get on is ended, whatever is spoken on it."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from typing import Any, TypeVar

from twisted.internet.interfaces import IReactorTime

from tcplab.listener.policy import Policy, PolicyListener
from tcplab.policies.progress import Progress
from tcplab.policies.socketoptions import growReceiveBuffer
from tcplab.wire.reasons import Reason

# Bytes that a peer has to take, or all that waits for it, to be given another deadline. An honest
# kernel opens its window by a segment or by half of its buffer (RFC 9293, 3.8.6.2.2), and takes
# segments of 536 bytes at least (3.7.1): who takes less in all that time only holds us up.
_LEAST = 536

# Seconds between two looks, at least: one at 10,000 connections takes 3 ms, with an idle deadline
# 6 ms.
_SHORTEST_INTERVAL = 0.05

# The same when somebody's handshake is about to be over, so that a crowd's are over one by one.
_SOON = 0.2

# Connections that are ended in one turn of the loop: each takes 0.1 ms, with TLS, and others wait.
_AT_ONCE = 50

_What = TypeVar("_What")


class Deadlines(Policy):
    """
    End the connections of some listeners whose peers do not get on.

    - ``handshake``: it is not through with the TLS handshake so long after it was accepted. That
      is absolute: a peer that sends it byte by byte has no more time than others.
    - ``idle``: no byte came, and the peer took none, for so long.
    - ``write``: something waits for the peer, in this process or in our kernel, and in all that
      time it took less than a segment of it. One that reads slowly gets on; but its window opens
      in steps (a segment, on loopback 64 KiB): who reads less than a step in that time looks as if
      it did not read at all. What a connection still has to say after its end counts like anything
      else. So does the last word of TLS, which waits until it is answered: it is not lingering that
      has its time then, for only conversations linger, and a peer that has 30 s to read what its
      kernel holds has them for this too.

    The end is a reset, with ``handshake-timeout``, ``idle-timeout`` or ``write-timeout`` as the
    cause. It comes no earlier than the deadline, and later by a tenth of it, by 1 s at most (that
    of a handshake by 0.2 s) and 0.1 s for deadlines under 1 s. (What the loop itself is late comes
    on top.)

    All connections are looked at together every now and then, and their counters compared with
    those of the last time: no timer for each, nothing in the way of a byte, nothing at all while
    nobody is connected. Time in which the process was stopped or starved is not the peer's, nor is
    a step of the system's clock; and before one is ended, what has come is read.

    :param handshake: seconds; ``None``: for ever. 5 s are enough for two round trips with a segment
        lost on the way and tried again after 1 and 2 s; ranch and thousand_island have them too.
    :param idle: seconds; ``None``: for ever.
    :param write: seconds; ``None``: for ever. In 30 s TCP has tried again after 0.2, 0.4 … 12.8 s:
        a network that was gone for 20 s has healed.
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
        self._call: Any = None
        self._now = self._passed = self._looked = 0.0
        self._forgetAll()

    def _forgetAll(self) -> None:
        self._someGone = False
        self._progress = Progress()
        self._accepted: dict[Any, float] = {}  # when it was, while in the handshake
        self._stirred: dict[Any, tuple[int, float]] = {}  # bytes both ways, and since when
        self._goals: dict[Any, tuple[int, float]] = {}  # bytes to be taken, and since when

    # Whom to look at, and when

    def watch(self, listener: PolicyListener) -> None:
        """Look after the connections of this listener too, if there is any deadline."""
        if self._interval < inf:
            super().watch(listener)

    def stopped(self) -> None:
        """Leave no timer behind."""
        self._rest()

    def connectionAccepted(self, transport: object) -> None:
        """Begin to look, if there was nobody to look at."""
        if self._call is None:
            self._looked = self.clock.seconds()
            self._lookAgain()

    def connectionClosed(self, transport: Any) -> None:
        """Remember that there is somebody to forget; rest if it was the last."""
        self._someGone = True
        if not (transport.listener.connections or self._anybody()):
            self._rest()

    def _anybody(self) -> bool:
        return any(listener.connections for listener in self.listeners)

    def _rest(self) -> None:
        self._forgetAll()
        if self._call is not None and self._call.active():  # not while it looks
            self._call.cancel()
            self._call = None

    # To look

    def _lookAgain(self) -> None:
        soon = self._interval
        if self._accepted:
            due = min(self._accepted.values()) + self._handshake - self._now
            soon = min(soon, max(due, _SOON))
        self._call = self.clock.callLater(soon, self._look)

    def _look(self) -> None:
        try:
            self._letTimePass()
            late = self._late([each for one in self.listeners for each in one.connections])
            self._accepted = {
                each: since
                for each, since in self._accepted.items()
                if each.connected and not each.established
            }
        except BaseException:
            self._lookAgain()
            raise
        if late:
            # Once more when all that has come is read: it may have come while nobody was here.
            self._call = self.clock.callLater(0, self._end, list(late))
        else:
            self._goOn()

    def _letTimePass(self) -> None:
        seconds = self.clock.seconds()
        self._passed = min(max(seconds - self._looked, 0.0), 2 * self._interval)
        self._looked = seconds
        self._now += self._passed

    def _end(self, late: list[Any]) -> None:
        some, rest = late[:_AT_ONCE], late[_AT_ONCE:]
        try:
            for transport, why in self._late([each for each in some if each.connected]).items():
                transport.setReason(why)
                transport.abortConnection()
        finally:
            if rest and self.listeners:
                self._call = self.clock.callLater(0, self._end, rest)
            else:
                self._goOn()

    def _goOn(self) -> None:
        self._call = None
        if self._anybody():
            if self._someGone:
                self._forgetGone()
            self._lookAgain()
        else:
            self._forgetAll()

    def _forgetGone(self) -> None:
        self._someGone = False
        self._progress.forgetGone()
        self._goals = _present(self._goals)
        self._stirred = _present(self._stirred)

    # Who is late

    def _late(self, connections: list[Any]) -> dict[Any, Reason]:
        """Choose those whose time is over, and say why."""
        late = {}
        if self._idle < inf:
            late.update(dict.fromkeys(self._still(connections), Reason.IDLE_TIMEOUT))
        for transport in self._progress.moving(connections):
            if not transport.established and self._dawdles(transport):
                late[transport] = Reason.HANDSHAKE_TIMEOUT
            elif self._mayStick(transport) and self._stuck(transport):
                late[transport] = Reason.WRITE_TIMEOUT
        return late

    def _mayStick(self, transport: Any) -> bool:
        # In a handshake its deadline comes first; to ask the kernel about 5,000 took 30 ms.
        return bool(transport.established or self._write < self._handshake)

    def _dawdles(self, transport: Any) -> bool:
        accepted = self._accepted.get(transport)
        if accepted is None:
            age = min(max(self._looked - transport.accepted, 0.0), self._passed)
            accepted = self._accepted[transport] = self._now - age
        return self._now - accepted >= self._handshake

    def _stuck(self, transport: Any) -> bool:
        taken, waiting = self._progress.of(transport)
        goal, since = self._goals.get(transport, (taken, self._now))
        if waiting:
            growReceiveBuffer(transport)
        if waiting and taken < goal:
            return self._now - since >= self._write
        if waiting:
            self._goals[transport] = (taken + min(waiting, _LEAST), self._now)
        elif self._goals.pop(transport, None):
            self._stirred.pop(transport, None)  # it has taken the rest just now
        return False

    def _still(self, connections: list[Any]) -> Iterator[Any]:
        """Choose those that have been idle for too long; this is for all of them: in one piece."""
        stirred, now = self._stirred, self._now
        for transport in connections:
            moved = transport.received + transport.sent
            before = stirred.get(transport)
            if before is None or moved != before[0]:
                stirred[transport] = (moved, now)
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
    Return the seconds between two looks; infinite if there is nothing to look for.

    When a handshake began is known. What else began, or got on, did so after the last look: one
    interval is lost there, and another until the look that finds the deadline over.
    """
    shortest = min(_delay(handshake), _delay(idle) / 2, _delay(write) / 2)
    return max(_SHORTEST_INTERVAL, shortest)


def _delay(deadline: float) -> float:
    """Return by how much the end may come later than the deadline."""
    return inf if deadline == inf else min(1.0, deadline / 10)


def _present(memory: dict[Any, _What]) -> dict[Any, _What]:
    return {transport: what for transport, what in memory.items() if transport.connected}
