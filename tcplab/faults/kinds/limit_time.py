"""The fault ``limit_time``: the connection ends after a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tcplab.faults.fault import Fault, endField, timeField
from tcplab.faults.stage import LimitingStage, Stage, StageContext


@dataclass(frozen=True)
class LimitTime(Fault):
    """
    End connections after a time.

    :ivar time: the time until the end (seconds).
    :ivar how: the end: FIN or RST.
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
