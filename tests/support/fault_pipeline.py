"""A chain of faults on a bench: bytes in, and what comes out, when."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st
from twisted.internet.task import Clock

from tcplab.faults.dice import Dice
from tcplab.faults.pipeline import ActiveFault, Pipeline
from tcplab.faults.spec import parseFault
from tcplab.faults.stage import End


class Bench:
    """
    A chain of faults, given as text.

    :ivar came: what came out: pieces of bytes, and ends.
    :ivar times: when each of them did.
    """

    def __init__(self, *texts: str, seed: int = 1) -> None:
        self.clock = Clock()
        self.came: list[Any] = []
        self.times: list[float] = []
        self.hits: list[tuple[str, int]] = []
        self.changes = 0
        self.pipeline = Pipeline(self)
        self.seed = seed
        self.number = 0
        for text in texts:
            self.add(text)

    def add(self, text: str) -> str:
        self.number += 1
        spec = parseFault(text)
        name = f"{spec.fault.kind}-{self.number}"
        dice = Dice(self.seed, name, 1)
        fault = ActiveFault(name, spec, "downstream", dice, self)
        self.pipeline.add(fault)
        fault.start()
        return name

    def remove(self, name: str) -> None:
        self.pipeline.remove(name, None)

    # Where it comes out

    def feed(self, data: bytes) -> None:
        self.came.append(data)
        self.times.append(self.clock.seconds())

    def end(self, how: End) -> None:
        self.came.append(how)
        self.times.append(self.clock.seconds())

    # The line

    def onHit(self, fault: ActiveFault, at: int) -> None:
        self.hits.append((fault.name.rpartition("-")[0], at))

    def updateFlow(self) -> None:
        self.changes += 1

    # What the tests do and see

    def say(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.pipeline.head.feed(piece)

    def finish(self) -> None:
        self.pipeline.head.end(End.FINISH)

    def run(self, seconds: float = 1000.0, steps: int = 1) -> None:
        for _ in range(steps):
            self.clock.advance(seconds / steps)

    def idle(self) -> None:
        """Advance from timer to timer until there is none."""
        while calls := self.clock.getDelayedCalls():
            self.clock.advance(max(0.0, calls[0].getTime() - self.clock.seconds()))

    @property
    def full(self) -> bool:
        return self.pipeline.pressure()[0]

    @property
    def discards(self) -> bool:
        return self.pipeline.pressure()[1]

    @property
    def data(self) -> bytes:
        return b"".join(each for each in self.came if isinstance(each, bytes))

    @property
    def ends(self) -> list[End]:
        return [each for each in self.came if isinstance(each, End)]


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """Cut bytes at these places."""
    at = [0, *sorted({place for place in places if 0 < place < len(data)}), len(data)]
    return [data[a:b] for a, b in pairwise(at) if a < b]


#: Bytes, and where they are cut.
streams = st.tuples(st.binary(max_size=300), st.sets(st.integers(0, 300), max_size=12))
