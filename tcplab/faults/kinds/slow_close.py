"""The fault ``slow_close``: the end is late."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tcplab.faults.fault import Fault, timeField
from tcplab.faults.stage import End, Stage, StageContext


@dataclass(frozen=True)
class SlowClose(Fault):
    """
    Delay the end of the connection.

    The end of one direction is delayed, or of both; a reset is not.

    :ivar delay: the delay of the end (seconds).
    """

    kind: ClassVar[str] = "slow_close"
    delay: float = timeField("ms")

    def stage(self, context: StageContext) -> Stage:
        """Make the stage."""
        return _SlowlyClosing(context, self.delay)


class _SlowlyClosing(Stage):
    def __init__(self, context: StageContext, delay: float) -> None:
        super().__init__(context)
        self._delay = delay
        self._ending: End | None = None

    def end(self, how: End) -> None:
        if how is End.RESET:
            self._ending = None
            self.out.end(how)
        elif self._ending is None:
            self.context.hit()
            self._ending = how
            self.context.later(self._delay, self.release)
        else:
            self._ending = how

    def release(self) -> None:
        ending, self._ending = self._ending, None
        if ending is not None:
            self.out.end(ending)
