"""The fault ``latency``: each byte is delayed."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import ClassVar

from tcplab.faults.fault import Fault, timeField
from tcplab.faults.stage import End, Stage, StageContext

# Bytes of memory that the smallest chunk takes: the object, its due time, its place in the queue.
_MIN_WEIGHT = 256


@dataclass(frozen=True)
class Latency(Fault):
    """
    Delay every byte, and keep their order.

    The end of the stream is delayed as much. **Limit:** no delay is below 0. A
    jitter above the latency therefore raises the mean delay.

    :ivar latency: the delay (seconds).
    :ivar jitter: the most that is added to the delay, or taken off, at random (seconds).
    """

    kind: ClassVar[str] = "latency"
    latency: float = timeField("ms")
    jitter: float = timeField("ms", 0.0)

    def stage(self, context: StageContext) -> Stage:
        """Make the stage."""
        return _Late(context, self)

    @property
    def rolls(self) -> bool:
        """Whether it draws random numbers: for the jitter."""
        return self.jitter > 0


class _Late(Stage):
    def __init__(self, context: StageContext, fault: Latency) -> None:
        super().__init__(context)
        self._fault = fault
        self._queue: deque[tuple[float, bytes | End]] = deque()
        self._due = 0.0
        self._waiting = False
        self._at = 0

    def feed(self, data: bytes, at: int) -> None:
        self.context.hit(at)
        self._at = at + len(data)
        self.held += max(len(data), _MIN_WEIGHT)
        self._enqueue(data, at)

    def end(self, how: End) -> None:
        self.context.hit()
        self._enqueue(how, self._at)

    def _enqueue(self, what: bytes | End, at: int) -> None:
        fault = self._fault
        delay = fault.latency
        if fault.jitter:
            delay += fault.jitter * (2 * self.context.dice.fraction(at) - 1)
        self._due = max(self._due, self.context.seconds() + delay)
        self._queue.append((self._due, what))
        self._wait()

    def _wait(self) -> None:
        if self._queue and not self._waiting:
            self._waiting = True
            delay = self._queue[0][0] - self.context.seconds()
            self.context.later(max(0.0, delay), self._releaseDue)

    def _releaseDue(self) -> None:
        self._waiting = False
        # What is due within a tenth of a millisecond leaves now: clocks are not finer.
        now = self.context.seconds() + 1e-4
        while self._queue and self._queue[0][0] <= now:
            self._releaseFirst()
        self._wait()

    def _releaseFirst(self) -> None:
        what = self._queue.popleft()[1]
        if isinstance(what, End):
            self.out.end(what)
        else:
            self.held -= max(len(what), _MIN_WEIGHT)
            self.out.feed(what)

    def release(self) -> None:
        while self._queue:
            self._releaseFirst()
