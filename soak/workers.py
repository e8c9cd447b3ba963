"""Cases 28, 29 and 30: a worker is killed, or hangs; other and waiting connections are served."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

from soak import talk
from soak.case import PORT, Case
from soak.clients import Asking
from soak.crowd import Crowd, Member
from soak.figures import Figure, atMost, every, holds, none
from soak.goodclient import GoodClient
from soak.lab import Lab, Trouble
from soak.scale import Amount

WORKERS = ("--workers", "2")
#: Seconds between two looks at a log.
_LOOK = 0.002


def children(lab: Lab) -> list[int]:
    """Name the processes that a lab has started, and that live."""
    try:
        return [int(each) for each in _children(lab.pid).read_text().split()]
    except FileNotFoundError:
        return []


def _children(pid: int) -> Path:
    return Path(f"/proc/{pid}/task/{pid}/children")


def serving(lab: Lab) -> dict[int, int]:
    """Return the workers' processes by their numbers, as the log tells them."""
    told = re.findall(r"worker (\d+) \(pid (\d+)\) serves", lab.log)
    return {int(number): int(pid) for number, pid in told}


def ready(lab: Lab) -> None:
    """Wait until all workers serve, and one more is ready to."""
    # Their lines may come a moment after the port file.
    if until(lambda: len(children(lab)) == len(serving(lab)) + 1, 10.0) == float("inf"):
        raise Trouble(f"there are {len(children(lab))} processes, for {len(serving(lab))} workers")
    # It reads no pipe before it is ready; nothing tells us, so that it has its time.
    time.sleep(1.0)


def until(condition: Callable[[], bool], seconds: float) -> float:
    """Wait until something is so, and return how long that took; infinite if it never was."""
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        if condition():
            return time.monotonic() - begun
        time.sleep(_LOOK)
    return float("inf")


def replaced(lab: Lab, number: int, pid: int, seconds: float) -> float:
    """Return the seconds until another process serves as this worker."""
    return until(lambda: serving(lab)[number] != pid, seconds)


class Talking(Member):
    """Asks again and again, and counts the answers."""

    __slots__ = ("answered", "asked")

    def __init__(self) -> None:
        super().__init__()
        self.asked = self.answered = 0

    def ask(self) -> None:
        """Ask once more."""
        if not self.over:
            self.asked += self.send(b"?")

    def heard(self, data: bytes) -> None:
        """Count."""
        self.answered += len(data)

    @property
    def isAnswered(self) -> bool:
        """Whether it waits for nothing."""
        return self.answered == self.asked


class KilledWorker(Case):
    """One of two dies while both are busy."""

    number = 28
    title = "a worker is killed"
    active = Amount(100, 1000, 1000)

    def run(self) -> None:
        """Kill it, and count the connections that are lost."""
        active = self.amount(self.active)
        with self.serving(*PORT, *WORKERS, "--behaviour", "echo", warm=ready) as lab:
            with Crowd() as crowd:
                members = crowd.addAll([Talking() for _ in range(2 * active)], lab.ports["echo"])
                _talk(crowd, members, 1.0)
                pid = serving(lab)[1]
                os.kill(pid, signal.SIGKILL)
                begun = time.monotonic()
                again = replaced(lab, 1, pid, 5.0)
                _talk(crowd, members, 1.0)
                crowd.during(0.5)
                crowd.until(lambda: all(each.over or each.isAnswered for each in members), 5.0)
                figures = self._figures(lab, members, pid, begun)
            talk.answering(lab.ports["echo"], 5.0)
        after = atMost("another serves after", again, 0.5, "s")
        self.tell(
            f"kill -9 of one of two workers with {active:,} connections each", *figures, after
        )

    def _figures(self, lab: Lab, members: list[Talking], pid: int, begun: float) -> list[Figure]:
        found = re.search(rf"\(pid {pid}\) was killed .*, with (\d+) connections", lab.log)
        victims = int(found[1]) if found else 0
        over = [each for each in members if each.over]
        others = [each for each in members if not each.over]
        return [
            none("of the others that are lost", abs(len(over) - victims)),
            none("answers that they miss", sum(each.asked - each.answered for each in others)),
            every("its own are told at once", len(over), victims),
        ]


def _talk(crowd: Crowd, members: list[Talking], seconds: float) -> None:
    """Have them ask in turn, a hundred each time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for start in range(0, len(members), 100):
            for each in members[start : start + 100]:
                each.ask()
            crowd.turn(0.002)


class KilledQueue(Case):
    """Some wait to be accepted when a worker is stopped and then killed."""

    number = 29
    title = "a worker is killed while some wait to be accepted"
    waiting = Amount(100, 100, 100)
    times = Amount(2, 10, 20)

    def run(self) -> None:
        """Stop it, have them connect, kill it."""
        waiting, times = self.amount(self.waiting), self.amount(self.times)
        served = lost = 0
        with self.serving(*PORT, *WORKERS, "--behaviour", "echo", warm=ready) as lab:
            for _ in range(times):
                with Crowd() as crowd:
                    pid = serving(lab)[1]
                    os.kill(pid, signal.SIGSTOP)
                    members = [crowd.add(Asking(), lab.ports["echo"]) for _ in range(waiting)]
                    os.kill(pid, signal.SIGKILL)
                    crowd.until(lambda m=members: all(x.served or x.over for x in m), 5.0)  # type: ignore[misc]
                    served += sum(each.served for each in members)
                    lost += sum(bool(each.over) for each in members)
                if replaced(lab, 1, pid, 10.0) == float("inf"):
                    raise Trouble("the worker is not replaced")
                ready(lab)
        self.tell(
            f"SIGSTOP, {waiting} connects, SIGKILL, {times} times",
            none("reset", lost),
            every("served", served, waiting * times),
        )


class HangingWorker(Case):
    """A worker is stopped: it delays no client, and is replaced."""

    number = 30
    title = "a worker hangs"

    def run(self) -> None:
        """Stop it, with a good client beside it."""
        with self.serving(*PORT, *WORKERS, "--behaviour", "echo", warm=ready) as lab:
            with Crowd() as crowd:
                # It has fewer than the other, which would leave newcomers to it.
                members = crowd.addAll([Asking() for _ in range(200)], lab.ports["echo"])
                pid = serving(lab)[1]
                os.kill(pid, signal.SIGSTOP)
                with GoodClient(lab.ports["echo"]) as good:
                    after = replaced(lab, 1, pid, 15.0)
                    times = good.times()
                for each in members:
                    each.close()
            ready(lab)
        self.tell(
            f"SIGSTOP of one of two workers; {times.tries:,} tries of a good client meanwhile",
            atMost("it is replaced after", after, 10, "s"),
            atMost("good client, p99", times.p99, 50, "ms"),
            atMost("good client, longest", times.longest, 1000, "ms"),
            holds("none of them fails", not times.failed),
        )
