"""Cases 11 and 12: connections above a limit wait or are refused; the others are served."""

from __future__ import annotations

import time

from soak import procfs, talk
from soak.case import PORT, Case
from soak.clients import Asking
from soak.crowd import Crowd, Member
from soak.figures import atMost, every, none
from soak.goodclient import GoodClient
from soak.integrity import Checking, flood
from soak.lab import Lab
from soak.scale import Amount

#: A peer at its limit, and another one. All of 127.0.0.0/8 is this machine.
GREEDY, GOOD = "127.0.0.2", "127.0.0.3"
GOODBYE = b"busy\r\n"
_WORDS = b"me too! " * 512


class Pushy(Member):
    """
    Says without end, whatever it hears.

    :ivar told: what it was told.
    """

    __slots__ = ("told",)

    def __init__(self) -> None:
        super().__init__()
        self.told = b""

    def connected(self) -> None:
        """Begin."""
        self.watch(writing=True)

    def mayWrite(self) -> None:
        """Go on."""
        self.send(_WORDS)

    def heard(self, data: bytes) -> None:
        """Keep it."""
        self.told += data


class LimitReached(Case):
    """More from one peer than it may have; then more in all than there may be."""

    number = 11
    title = "limits reached"
    limit = Amount(100, 1000, 1000)
    over = Amount(50, 500, 500)

    def run(self) -> None:
        """Try both limits."""
        limit, over = self.amount(self.limit), self.amount(self.over)
        self._perPeer(limit, over)
        self._inAll(limit, over)

    def _perPeer(self, limit: int, over: int) -> None:
        words = (*PORT, "--behaviour", "echo", "--max-per-peer", str(limit))
        with (
            self.serving(*words, warm=lambda lab: self._crowd(lab, limit)) as lab,
            Crowd() as crowd,
        ):
            address = lab.ports["echo"]
            inside = crowd.addAll([Checking(n) for n in range(limit)], address, GREEDY)
            outside = [crowd.add(Pushy(), address, GREEDY) for _ in range(over)]
            crowd.until(lambda: all(each.over for each in outside), talk.PATIENCE)
            stranger = talk.echoed(address, source=GOOD)
            for each in inside:
                each.finishSaying()
            crowd.until(lambda: all(each.over for each in inside), talk.PATIENCE)
            again = talk.answering(address, 5.0, GREEDY)
        self.tell(
            f"--max-per-peer {limit:,}: {over:,} more of that peer at once, while they still send",
            every("told busy", sum(each.told == GOODBYE for each in outside), over),
            none("of those inside that lose a byte", sum(not each.complete for each in inside)),
            none("served above the limit", sum(_WORDS[:8] in each.told for each in outside)),
            none("others refused", not stranger),
            atMost("served again when they have left, after", again, 1, "s"),
        )

    def _crowd(self, lab: Lab, count: int) -> None:
        self.steady(lab, lambda lab: flood(lab, count, 0.2))

    def _inAll(self, limit: int, over: int) -> None:
        words = (*PORT, "--behaviour", "echo", "--max-connections", str(limit))
        with (
            self.serving(*words, warm=lambda lab: self._crowd(lab, limit)) as lab,
            Crowd() as crowd,
        ):
            address = lab.ports["echo"]
            before = procfs.descriptorsOf(lab.pid)
            inside = crowd.addAll([Asking() for _ in range(limit)], address)
            outside = crowd.addAll([Asking() for _ in range(over)], address)
            crowd.during(0.5)
            served = procfs.descriptorsOf(lab.pid) - before
            waiting = sum(not each.served and not each.over for each in outside)
            for each in inside:
                each.close()
            begun = time.monotonic()
            crowd.until(lambda: all(each.served for each in outside), talk.PATIENCE)
            seconds = time.monotonic() - begun
        self.tell(
            f"--max-connections {limit:,}: {over:,} more",
            every("wait in the backlog", waiting, over),
            # One batch of accept() is what the limit may be exceeded by.
            atMost("served above the limit", max(0, served - limit), 64),
            every("served when others have left", sum(each.served for each in outside), over),
            atMost("all of them after", seconds, 1, "s"),
        )


class OneFloods(Case):
    """One address connects without end; another is an ordinary client."""

    number = 12
    title = "one peer floods"
    #: A second; the matrix has 5,000 in all. It never has more at a time.
    connects = Amount(1000, 5000, 5000)
    duration = Amount(1, 10, 60)
    #: Seconds between two looks at the clock.
    step = 0.002

    def run(self) -> None:
        """Flood, and ask the other."""
        rate, seconds = self.amount(self.connects), self.seconds(self.duration)
        words = (*PORT, "--behaviour", "echo", "--max-per-peer", "100")
        with self.serving(*words, warm=lambda lab: self._flood(lab, rate, 2.0)) as lab:
            good = GoodClient(lab.ports["echo"], GOOD)
            with good:
                tried = self._flood(lab, rate, seconds)
                times = good.times()
        self.tell(
            f"--max-per-peer 100: one peer connects {tried / seconds:,.0f} times a second for"
            f" {seconds:g} s, beside a good one with {times.tries:,} tries",
            atMost("good one, p99", times.p99, 20, "ms"),
            none("good one refused or lost", times.failed),
        )

    def _flood(self, lab: Lab, rate: int, seconds: float) -> int:
        tried = 0
        begun = time.monotonic()
        with Crowd() as crowd:
            while (elapsed := time.monotonic() - begun) < seconds:
                due = int(elapsed * rate) - tried
                for _ in range(min(due, rate - len(crowd.members))):
                    crowd.add(Asking(), lab.ports["echo"], GREEDY)
                    tried += 1
                crowd.turn(self.step)
        return tried
