"""Case 2: what comes back is what was said, whatever the chunks."""

from __future__ import annotations

import random
import time

from soak import talk
from soak.case import PORT, Case
from soak.crowd import Crowd, Member
from soak.figures import GIB, none, told
from soak.lab import Lab
from soak.scale import Amount


class Checking(Member):
    """
    Says the position-coded stream in chunks of any size, and checks every byte that comes back.

    :ivar wrong: something else came back.
    :ivar longest: seconds between two pieces that came, or that were taken, at most.
    """

    __slots__ = ("_dice", "_finishing", "_limit", "heardBytes", "longest", "moved", "sent", "wrong")

    def __init__(self, seed: int, limit: float = float("inf")) -> None:
        super().__init__()
        self._dice = random.Random(seed)
        self._limit = limit
        self._finishing = self.wrong = False
        self.sent = self.heardBytes = 0
        self.longest = self.moved = 0.0

    def connected(self) -> None:
        """Begin."""
        self.moved = self.opened
        self.watch(writing=True)

    def mayWrite(self) -> None:
        """Say one chunk: as many of a byte as of 64 KiB, and all between."""
        size = min(int(2 ** self._dice.uniform(0, 16)), self._limit - self.sent)
        self.sent += self.send(talk.pattern(self.sent, int(size)))
        if self.sent >= self._limit:
            self.finishSaying()

    def heard(self, data: bytes) -> None:
        """Compare."""
        if data != talk.pattern(self.heardBytes, len(data)):
            self.wrong = True
        self.heardBytes += len(data)
        now = time.monotonic()
        self.longest = max(self.longest, now - self.moved)
        self.moved = now

    def finishSaying(self) -> None:
        """Half-close; what is on its way must still come back."""
        if not self._finishing and not self.over:
            self._finishing = True
            self.watch()
            self.finish()

    @property
    def complete(self) -> bool:
        """Whether it has ended well, and every byte has come back."""
        return self.over == "fin" and not self.wrong and self.heardBytes == self.sent


class RandomChunks(Case):
    """Many connections at once, chunks of any size, every byte checked by its position."""

    number = 2
    title = "random chunks on many connections"
    connections = Amount(20, 200, 200)
    #: Two minutes move about 100 GiB, the matrix's amount; it asks for ten minutes.
    duration = Amount(1, 120, 600)

    def run(self) -> None:
        """Go on for so long, then finish."""
        count, seconds = self.amount(self.connections), self.seconds(self.duration)
        with self.serving(*PORT, "--behaviour", "echo", warm=self._warm) as lab:
            members = flood(lab, count, seconds)
        wrong = sum(each.wrong for each in members)
        unexplained = sum(not each.complete for each in members) - wrong
        amount = told(sum(each.heardBytes for each in members) / GIB, "GiB")
        self.tell(
            f"{count} connections, {seconds:g} s, {amount} in chunks of 1 B to 64 KiB",
            none("connections with a wrong byte", wrong),
            none("connections that end otherwise than whole", unexplained),
        )

    def _warm(self, lab: Lab) -> None:
        self.steady(lab, lambda lab: flood(lab, self.amount(self.connections), 0.5))


def flood(lab: Lab, count: int, seconds: float) -> list[Checking]:
    """Let many talk to echo for so long, and then finish in their own time."""
    with Crowd() as crowd:
        members = [Checking(number) for number in range(count)]
        crowd.addAll(members, lab.ports["echo"])
        crowd.during(seconds)
        for each in members:
            each.finishSaying()
        # A server may be given little of a CPU.
        crowd.until(lambda: not crowd.members, 3 * talk.PATIENCE)
    return members
