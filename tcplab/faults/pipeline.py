"""The faults that act on one direction of a connection, each from its trigger to its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from tcplab.faults.dice import Dice
from tcplab.faults.spec import FaultSpec, Trigger
from tcplab.faults.stage import End, Sink, Stage


class TriggerMatcher:
    """
    The search for the byte behind which a fault begins.

    :param trigger: one of bytes; a trigger of time is kept by the `ActiveFault`.
    """

    def __init__(self, trigger: Trigger) -> None:
        self._left = trigger.afterBytes
        self._match = trigger.match
        self._tail = b""

    def bytesBefore(self, data: bytes) -> int | None:
        """Return how many of these bytes pass before the fault begins; ``None``: all of them."""
        if self._match:
            return self._bytesToMatch(data)
        if self._left is None:
            return None
        self._left -= len(data)
        return self._left + len(data) if self._left <= 0 else None

    def _bytesToMatch(self, data: bytes) -> int | None:
        seen = self._tail + data
        at = seen.find(self._match)
        if at >= 0:
            return at + len(self._match) - len(self._tail)
        keep = len(self._match) - 1
        self._tail = seen[-keep:] if keep else b""
        return None


class PipelineOwner(Protocol):
    """
    The filter to which pipelines belong.

    :ivar clock: keeps the time.
    """

    clock: IReactorTime

    def onHit(self, fault: ActiveFault, at: int) -> None:
        """Report that a fault acts at this byte of its direction."""

    def updateFlow(self) -> None:
        """Pause or resume both sources: bytes have moved, or a fault has changed."""


class ActiveFault:
    """
    A fault on one direction of one connection.

    Bytes pass until the trigger. Then they go through the fault's stage, until the fault ends.

    :ivar name: the fault's name, with its owner.
    :ivar owner: the `tcplab.faults.Faults` that it belongs to.
    :ivar direction: ``downstream`` or ``upstream``.
    :ivar dice: the fault's random numbers on this connection.
    :ivar out: the next stop.
    :ivar stage: from the trigger to the end.
    """

    def __init__(
        self,
        name: str,
        spec: FaultSpec,
        direction: str,
        dice: Dice,
        filter: PipelineOwner,
        owner: object = None,
    ) -> None:
        self.name = name
        self.owner = owner
        self.direction = direction
        self.dice = dice
        self.out: Sink
        self.stage: Stage | None = None
        self._spec = spec
        self._filter = filter
        self._passed = 0
        self._matcher: TriggerMatcher | None = None
        self._timers: set[IDelayedCall] = set()
        self._reported = self._over = False

    # What passes

    def connect(self, out: Sink) -> None:
        """Pass bytes on to this from here on."""
        self.out = out
        if self.stage is not None:
            self.stage.out = out

    def feed(self, data: bytes) -> None:
        """Take bytes."""
        if self._matcher is not None:
            data = self._untilTrigger(self._matcher, data)
        if not data:
            return
        at = self._passed
        self._passed += len(data)
        if self.stage is not None:
            self.stage.feed(data, at)
        else:
            self.out.feed(data)

    def _untilTrigger(self, matcher: TriggerMatcher, data: bytes) -> bytes:
        size = matcher.bytesBefore(data)
        if size is None:
            return data
        # Behind the last byte that passes untouched, not before the next that arrives.
        self._passed += size
        if size:
            self.out.feed(data[:size])
        self._begin()
        return data[size:]

    def end(self, how: End) -> None:
        """Take an end."""
        if self.stage is not None:
            self.stage.end(how)
        else:
            self.out.end(how)

    # From its beginning to its end

    def start(self) -> None:
        """Wait for the trigger, if there is one."""
        trigger = self._spec.trigger
        if trigger.afterSeconds:
            self.later(trigger.afterSeconds, self._begin)
        elif trigger.match or trigger.afterBytes:
            self._matcher = TriggerMatcher(trigger)
        else:
            self._begin()

    def _begin(self) -> None:
        if self._over:
            return  # removed by what the bytes before it caused
        self._matcher = None
        stage = self.stage = self._spec.fault.stage(self)
        stage.out = self.out
        if self._spec.trigger.duration is not None:
            self.later(self._spec.trigger.duration, self.stop)
        stage.begin()

    def stop(self) -> None:
        """Pass on what is held, and act no more."""
        self.discard()
        self._matcher = None
        stage, self.stage = self.stage, None
        if stage is not None:
            stage.release()

    def discard(self) -> None:
        """Act no more: the connection is lost."""
        self._over = True
        timers, self._timers = self._timers, set()
        for timer in timers:
            timer.cancel()

    # The context of the stage

    def seconds(self) -> float:
        """Return the time."""
        return self._filter.clock.seconds()

    def later(self, delay: float, call: Callable[[], object]) -> None:
        """Call this later, unless the fault is over by then."""

        def due() -> None:
            self._timers.discard(timer)
            call()
            self._filter.updateFlow()

        if self._over:
            return
        timer = self._filter.clock.callLater(delay, due)
        self._timers.add(timer)

    def hit(self, at: int | None = None) -> None:
        """Report the first time that the fault acts."""
        if not self._reported:
            self._reported = True
            self._filter.onHit(self, self._passed if at is None else at)


#: Bytes that a direction may hold before its source is paused: at 100 ms of latency that is
#: 2.5 MB/s, and a thousand connections hold 256 MB at most. One write of the source (a read of
#: ours is up to 192 KiB) is added to that.
HIGH_WATER = 2**18


class Pipeline:
    """
    Pass bytes through the faults of one direction, in the order in which they were added.

    :param out: the stop behind the last fault.
    :ivar head: the first stop, into which bytes and the end are fed.
    :ivar faults: the faults between the two.
    """

    def __init__(self, out: Sink) -> None:
        self._out = out
        self.head = out
        self.faults: list[ActiveFault] = []

    @property
    def held(self) -> int:
        """The bytes that are held."""
        return sum([fault.stage.held for fault in self.faults if fault.stage is not None])

    def pressure(self) -> tuple[bool, bool]:
        """Return whether the source is to pause, and whether its bytes are discarded."""
        held, blocked, discards = 0, False, False
        for fault in self.faults:
            stage = fault.stage
            if stage is not None:
                held += stage.held
                blocked = blocked or stage.blocked
                discards = discards or stage.discards
        return blocked or held >= HIGH_WATER, discards

    def start(self) -> None:
        """Start all faults."""
        for fault in list(self.faults):
            fault.start()

    def add(self, fault: ActiveFault) -> None:
        """Add a fault behind the others."""
        self.faults.append(fault)
        self._connect()

    def remove(self, name: str, owner: object) -> None:
        """Remove a fault, if it is there; what it holds is passed on at once."""
        for fault in [each for each in self.faults if (each.name, each.owner) == (name, owner)]:
            fault.stop()
            self.faults = [each for each in self.faults if each is not fault]
        self._connect()

    def discard(self) -> None:
        """Drop everything: the connection is lost."""
        faults, self.faults = self.faults, []
        self._connect()
        for fault in faults:
            fault.discard()

    def _connect(self) -> None:
        stops: list[Sink] = [*self.faults, self._out]
        self.head = stops[0]
        for fault, out in zip(self.faults, stops[1:], strict=True):
            fault.connect(out)
