"""The fault ``bandwidth``: at most a number of bytes per second."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tcplab.faults.fault import Fault, sizeField
from tcplab.faults.stage import BufferingStage, End, Stage, StageContext

#: Seconds' worth of bytes that may pass at once: 100 bursts a second are smooth, and cost little.
BURST = 0.01


@dataclass(frozen=True)
class Bandwidth(Fault):
    """
    Limit the bytes per second.

    It is a token bucket: in any time at most ``rate`` times that, and one `BURST`, pass.

    :ivar rate: how much may pass in a second (bytes); 0 stops the flow.
    """

    kind: ClassVar[str] = "bandwidth"
    rate: int = sizeField("KB")

    @property
    def endless(self) -> bool:
        """Whether it may keep a connection open without end: at a rate of 0."""
        return not self.rate

    def stage(self, context: StageContext) -> Stage:
        """Make the stage."""
        return _TokenBucket(context, self.rate)


class _TokenBucket(BufferingStage):
    def __init__(self, context: StageContext, rate: int) -> None:
        super().__init__(context)
        self._rate = rate
        self._capacity = max(1.0, rate * BURST)
        self._tokens = self._capacity if rate else 0.0
        self._since = context.seconds()
        self._waiting = False

    def feed(self, data: bytes, at: int) -> None:
        self.context.hit(at)
        super().feed(data, at)
        self._releaseAllowed()

    def end(self, how: End) -> None:
        super().end(how)
        self._releaseAllowed()

    def _releaseAllowed(self) -> None:
        if self._waiting or not self._rate:
            if not self._buffer and not self._waiting:
                self.releaseBytes(0)
            return
        now = self.context.seconds()
        # Times are sums of fractions: without a millionth more a whole byte might never be there.
        tokens = self._tokens + (now - self._since) * self._rate + 1e-6
        self._tokens = min(self._capacity, tokens)
        self._since = now
        size = min(int(self._tokens), len(self._buffer))
        self._tokens -= size
        self.releaseBytes(size)
        self._wait()

    def _wait(self) -> None:
        if self._buffer and not self._waiting:
            self._waiting = True
            wanted = min(self._capacity, len(self._buffer))
            self.context.later(max(0.0, wanted - self._tokens) / self._rate, self._continue)

    def _continue(self) -> None:
        self._waiting = False
        self._releaseAllowed()
