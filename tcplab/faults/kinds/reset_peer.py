"""The fault ``reset_peer``: a real RST."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tcplab.faults.fault import Fault, timeField
from tcplab.faults.stage import End, Stage, StageContext


@dataclass(frozen=True)
class ResetPeer(Fault):
    """
    A real RST after that long, behind the bytes that have passed.

    :ivar timeout: seconds (typed: ms); 0: at once, that is at accept unless it has a trigger.
    """

    kind: ClassVar[str] = "reset_peer"
    timeout: float = timeField("ms", 0.0)

    @property
    def atOnce(self) -> bool:  # type: ignore[override]
        """Without a timeout."""
        return not self.timeout

    def stage(self, context: StageContext) -> Stage:
        """Make the stage."""
        return _Reset(context, self.timeout)


class _Reset(Stage):
    def __init__(self, context: StageContext, timeout: float) -> None:
        super().__init__(context)
        self._timeout = timeout

    def begin(self) -> None:
        if self._timeout:
            self.context.later(self._timeout, self._reset)
        else:
            self._reset()

    def _reset(self) -> None:
        self.discards = True
        self.context.hit()
        self.out.end(End.RESET)

    def feed(self, data: bytes, at: int) -> None:
        if not self.discards:
            self.out.feed(data)

    def end(self, how: End) -> None:
        if not self.discards:
            self.out.end(how)
