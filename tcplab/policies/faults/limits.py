"""Faults that end a connection at a byte or a time: ``limit_data`` and ``limit_time``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tcplab.policies.faults.fault import Fault, amount, ending, time
from tcplab.policies.faults.stage import End, Hands, Stage

_ENDS = {"fin": End.CLOSE, "reset": End.RESET}


@dataclass(frozen=True)
class LimitData(Fault):
    """
    Exactly that many bytes pass, then the end.

    :ivar bytes: how many.
    :ivar how: ``fin`` or ``reset``.
    """

    kind: ClassVar[str] = "limit_data"
    bytes: int = amount("B")
    how: str = ending()

    def stage(self, hands: Hands) -> Stage:
        """Make the stage."""
        return _LimitedBytes(hands, self)


@dataclass(frozen=True)
class LimitTime(Fault):
    """
    What passes in that time passes, then the end.

    :ivar time: seconds (typed: with a unit).
    :ivar how: ``fin`` or ``reset``.
    """

    kind: ClassVar[str] = "limit_time"
    time: float = time()
    how: str = ending()

    def stage(self, hands: Hands) -> Stage:
        """Make the stage."""
        return _LimitedTime(hands, self)


class _Limited(Stage):
    """Pass until it is over, then nothing."""

    def __init__(self, hands: Hands, how: str) -> None:
        super().__init__(hands)
        self._how = _ENDS[how]
        self._over = False

    def cut(self, at: int | None = None) -> None:
        """End the connection."""
        if not self._over:
            self._over = self.swallows = True
            self.hands.hit(at)
            self.out.end(self._how)

    def take(self, data: bytes, at: int) -> None:
        if not self._over:
            self.out.take(data)

    def end(self, how: End) -> None:
        if not self._over:
            self.out.end(how)


class _LimitedBytes(_Limited):
    def __init__(self, hands: Hands, fault: LimitData) -> None:
        super().__init__(hands, fault.how)
        self._left = fault.bytes

    def begin(self) -> None:
        if not self._left:
            self.cut()

    def take(self, data: bytes, at: int) -> None:
        data = data[: self._left]
        self._left -= len(data)
        super().take(data, at)
        if not self._left:
            self.cut(at + len(data))


class _LimitedTime(_Limited):
    def __init__(self, hands: Hands, fault: LimitTime) -> None:
        super().__init__(hands, fault.how)
        self._time = fault.time

    def begin(self) -> None:
        if self._time:
            self.hands.later(self._time, self.cut)
        else:
            self.cut()
