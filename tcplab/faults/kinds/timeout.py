"""The fault ``timeout``: nothing passes, then the connection is closed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tcplab.faults.fault import Fault, timeField
from tcplab.faults.stage import End, Stage, StageContext


@dataclass(frozen=True)
class Timeout(Fault):
    """
    Drop all bytes, close after a time.

    If the fault ends before, and bytes were dropped, the connection is closed then: a TCP stream
    has no holes.

    :ivar timeout: the time until the connection is closed (seconds); 0: never.
    """

    kind: ClassVar[str] = "timeout"
    timeout: float = timeField("ms", 0.0)

    @property
    def endless(self) -> bool:
        """Whether it may keep a connection open without end: without a timeout."""
        return not self.timeout

    def stage(self, context: StageContext) -> Stage:
        """Make the stage."""
        return _Silence(context, self.timeout)


class _Silence(Stage):
    discards = True

    def __init__(self, context: StageContext, timeout: float) -> None:
        super().__init__(context)
        self._timeout = timeout
        self._dropped = False
        self._ending: End | None = None

    def begin(self) -> None:
        self.context.hit()
        if self._timeout:
            self.context.later(self._timeout, self._close)

    def _close(self) -> None:
        self._dropped = False
        self._ending = None
        self.out.end(End.CLOSE)

    def feed(self, data: bytes, at: int) -> None:
        self._dropped = True

    def end(self, how: End) -> None:
        self._ending = how

    def release(self) -> None:
        if self._dropped:
            self._close()
        elif self._ending is not None:
            self.out.end(self._ending)
