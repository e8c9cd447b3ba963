"""The fault ``limit_time``: the connection ends after a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tcplab.faults.fault import Fault, endField, timeField
from tcplab.faults.stage import LimitingStage, Stage, StageContext


@dataclass(frozen=True)
class LimitTime(Fault):
    """
    Bytes pass for that long, then the connection ends.

    :ivar time: seconds (typed: with a unit).
    :ivar how: ``fin`` or ``reset``.
    """

    kind: ClassVar[str] = "limit_time"
    time: float = timeField()
    how: str = endField()

    def stage(self, context: StageContext) -> Stage:
        """Make the stage."""
        return _LimitedTime(context, self)


class _LimitedTime(LimitingStage):
    def __init__(self, context: StageContext, fault: LimitTime) -> None:
        super().__init__(context, fault.how)
        self._time = fault.time

    def begin(self) -> None:
        if self._time:
            self.context.later(self._time, self.endConnection)
        else:
            self.endConnection()
