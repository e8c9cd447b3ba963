"""A stage: what one fault does to the bytes of one direction of one connection."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import Protocol

from tcplab.faults.dice import Dice


class End(Enum):
    """
    An end, which travels behind the bytes.

    :cvar FINISH: whoever speaks in this direction has finished.
    :cvar HALF: the same, by a fault.
    :cvar CLOSE: a fault ends the connection, orderly.
    :cvar RESET: a fault resets it.
    """

    FINISH = auto()
    HALF = auto()
    CLOSE = auto()
    RESET = auto()


class Sink(Protocol):
    """Where bytes and the end go on to."""

    def take(self, data: bytes) -> None: ...

    def end(self, how: End) -> None: ...


class StageContext(Protocol):
    """What a stage works with besides bytes."""

    dice: Dice

    def seconds(self) -> float: ...

    def later(self, delay: float, call: Callable[[], object]) -> None: ...

    def hit(self, at: int | None = None) -> None: ...


class Stage:
    """
    Let everything pass; a fault's stage does something else.

    It is begun before it gets anything, gets bytes and then an end, and passes on bytes and then an
    end. It knows neither transport nor protocol.

    :ivar out: where to pass on to.
    :ivar held: bytes that are held here; of small pieces what they weigh.
    :ivar blocked: no more is wanted, however little is held.
    :ivar swallows: what comes goes nowhere, the end included.
    """

    held = 0
    blocked = False
    swallows = False

    def __init__(self, hands: StageContext) -> None:
        self.hands = hands
        self.out: Sink

    def begin(self) -> None:
        """The fault begins."""

    def take(self, data: bytes, at: int) -> None:
        """Take bytes, the first of them the ``at``-th of this direction, counted from 0."""
        self.out.take(data)

    def end(self, how: End) -> None:
        """Take the end."""
        self.out.end(how)

    def release(self) -> None:
        """The fault is over: pass on what is held; nothing comes any more."""


class BufferingStage(Stage):
    """A stage that holds bytes in their order, and then the end."""

    def __init__(self, hands: StageContext) -> None:
        super().__init__(hands)
        self._held = bytearray()
        self._ending: End | None = None

    @property
    def held(self) -> int:  # type: ignore[override]
        """Bytes that wait here."""
        return len(self._held)

    def take(self, data: bytes, at: int) -> None:
        """Hold these bytes too."""
        self._held += data

    def end(self, how: End) -> None:
        """The end waits behind the bytes; a later one may be worse."""
        self._ending = how

    def pass_(self, size: int) -> None:
        """Pass on so many bytes, and the end if it is its turn."""
        data = bytes(self._held[:size])
        del self._held[:size]
        if data:
            self.out.take(data)
        if self._ending is not None and not self._held:
            ending, self._ending = self._ending, None
            self.out.end(ending)

    def release(self) -> None:
        """Pass on all of it."""
        self.pass_(len(self._held))


ENDS = {"fin": End.CLOSE, "reset": End.RESET}


class LimitingStage(Stage):
    """Pass until it is over, then nothing."""

    def __init__(self, hands: StageContext, how: str) -> None:
        super().__init__(hands)
        self._how = ENDS[how]
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
