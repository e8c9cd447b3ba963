"""Faults that end, or leave one hanging: ``timeout``, ``reset_peer`` and ``half_close``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tcplab.policies.faults.fault import Fault, time
from tcplab.policies.faults.stage import End, Hands, Stage


@dataclass(frozen=True)
class Timeout(Fault):
    """
    Nothing passes; the connection is closed after that long.

    If the fault is over before, and something was dropped, it is closed then: a TCP stream has no
    holes.

    :ivar timeout: seconds (typed: ms); 0: never.
    """

    kind: ClassVar[str] = "timeout"
    timeout: float = time("ms", 0.0)

    @property
    def endless(self) -> bool:
        """Without a timeout."""
        return not self.timeout

    def stage(self, hands: Hands) -> Stage:
        """Make the stage."""
        return _Silence(hands, self.timeout)


class _Silence(Stage):
    swallows = True

    def __init__(self, hands: Hands, timeout: float) -> None:
        super().__init__(hands)
        self._timeout = timeout
        self._dropped = False
        self._ending: End | None = None

    def begin(self) -> None:
        self.hands.hit()
        if self._timeout:
            self.hands.later(self._timeout, self._close)

    def _close(self) -> None:
        self._dropped = False
        self._ending = None
        self.out.end(End.CLOSE)

    def take(self, data: bytes, at: int) -> None:
        self._dropped = True

    def end(self, how: End) -> None:
        self._ending = how

    def release(self) -> None:
        if self._dropped:
            self._close()
        elif self._ending is not None:
            self.out.end(self._ending)


@dataclass(frozen=True)
class ResetPeer(Fault):
    """
    A real RST after that long, behind the bytes that have passed.

    :ivar timeout: seconds (typed: ms); 0: at once, that is at accept unless it has a trigger.
    """

    kind: ClassVar[str] = "reset_peer"
    timeout: float = time("ms", 0.0)

    @property
    def atOnce(self) -> bool:  # type: ignore[override]
        """Without a timeout."""
        return not self.timeout

    def stage(self, hands: Hands) -> Stage:
        """Make the stage."""
        return _Reset(hands, self.timeout)


class _Reset(Stage):
    def __init__(self, hands: Hands, timeout: float) -> None:
        super().__init__(hands)
        self._timeout = timeout

    def begin(self) -> None:
        if self._timeout:
            self.hands.later(self._timeout, self._reset)
        else:
            self._reset()

    def _reset(self) -> None:
        self.swallows = True
        self.hands.hit()
        self.out.end(End.RESET)

    def take(self, data: bytes, at: int) -> None:
        if not self.swallows:
            self.out.take(data)

    def end(self, how: End) -> None:
        if not self.swallows:
            self.out.end(how)


@dataclass(frozen=True)
class HalfClose(Fault):
    """FIN in one direction: what is still said in it goes nowhere. The other direction goes on."""

    kind: ClassVar[str] = "half_close"
    atOnce: ClassVar[bool] = True

    def stage(self, hands: Hands) -> Stage:
        """Make the stage."""
        return _HalfClosed(hands)


class _HalfClosed(Stage):
    swallows = True

    def begin(self) -> None:
        self.hands.hit()
        self.out.end(End.HALF)

    def take(self, data: bytes, at: int) -> None:
        pass

    def end(self, how: End) -> None:
        if how is not End.HALF:
            self.out.end(how)  # it may be more than one direction's
