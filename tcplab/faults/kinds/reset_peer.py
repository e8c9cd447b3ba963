"""The fault ``reset_peer``: a real RST."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tcplab.faults.fault import Fault, timeField
from tcplab.faults.stage import LimitingStage, Stage, StageContext


@dataclass(frozen=True)
class ResetPeer(Fault):
    """
    Reset the connection.

    A real RST follows the bytes that have passed.

    :ivar timeout: the time until the reset (seconds); 0: at accept, or at once after its trigger.
    """

    kind: ClassVar[str] = "reset_peer"
    timeout: float = timeField("ms", 0.0)

    @property
    def atOnce(self) -> bool:
        """Whether it happens in a moment: without a timeout."""
        return not self.timeout

    def stage(self, context: StageContext) -> Stage:
        """Make the stage."""
        return _Resetting(context, self.timeout)


class _Resetting(LimitingStage):
    def __init__(self, context: StageContext, timeout: float) -> None:
        super().__init__(context, "reset")
        self._timeout = timeout

    def begin(self) -> None:
        if self._timeout:
            self.context.later(self._timeout, self.endConnection)
        else:
            self.endConnection()
