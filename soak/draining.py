"""Case 33: SIGTERM in the middle of everything."""

from __future__ import annotations

import errno
import signal
import socket
import time
from collections.abc import Sequence

from soak import talk
from soak.case import PORT, Case
from soak.clients import Stuck
from soak.crowd import Crowd, Member
from soak.figures import MIB, Figure, atMost, holds, none
from soak.integrity import Checking
from soak.lab import Lab
from soak.scale import Amount
from tests.support.certificates import localhostFile


class Finishing(Checking):
    """
    Checks a whole answer of a given size, and says the end of its question only when told to.

    :ivar gone: when it had ended.
    """

    __slots__ = ("_size", "gone")

    def __init__(self, seed: int, size: int) -> None:
        super().__init__(seed, size // 2)
        self._size = size
        self.gone = float("inf")

    def finishSaying(self) -> None:
        """Half of it is said: wait."""
        if self.sent < self._size:
            self.watch()
        else:
            super().finishSaying()

    def goOn(self) -> None:
        """Say the rest, and half-close."""
        self._limit = self._size
        self.watch(writing=True)

    def ended(self) -> None:
        """Note when."""
        self.gone = time.monotonic()
        super().ended()


class Drain(Case):
    """Answers in flight are finished, stuck clients aborted in time, new ones refused."""

    number = 33
    title = "SIGTERM in the middle of everything"
    active = Amount(100, 1000, 1000)
    stuck = Amount(20, 100, 100)
    silent = Amount(10, 50, 50)
    size = MIB
    #: --drain-timeout: the default, unless in a hurry.
    timeout = Amount(3, 15, 15)

    def run(self) -> None:
        """Drain once with clients that all finish, and once with some that never would."""
        self._drain(0, 0, 0)
        self._drain(self.amount(self.stuck), self.amount(self.silent), 1)

    def _drain(self, stuck: int, silent: int, status: int) -> None:
        pem = localhostFile(str(self.scratch))
        tls = f"echo@ssl:0:privateKey={pem}:certKey={pem}:interface=127.0.0.1:backlog=4096"
        timeout = self.seconds(self.timeout)
        hurry = () if timeout == 15 else ("--drain-timeout", f"{timeout:g}")
        words = (*PORT, "--behaviour", "echo", "--serve", tls)
        with self.serving(*words, *hurry) as lab, Crowd() as crowd:
            active = [Finishing(number, self.size) for number in range(self.amount(self.active))]
            others: list[Member] = [Stuck() for _ in range(stuck)]
            crowd.addAll(others, lab.ports["echo"])
            crowd.addAll([Member() for _ in range(silent)], lab.ports["echo-2"])
            crowd.addAll(active, lab.ports["echo"])
            crowd.during(1.0)
            figures = self._end(lab, crowd, active, timeout if stuck else 5.0, status)
        beside = f", {stuck} that are stuck, {silent} silent in a handshake" if stuck else ""
        size = f"{self.size // MIB} MiB"
        self.tell(f"SIGTERM with {len(active):,} in the middle of {size} of echo{beside}", *figures)

    def _end(
        self, lab: Lab, crowd: Crowd, active: Sequence[Finishing], limit: float, status: int
    ) -> list[Figure]:
        lab.signal(signal.SIGTERM)
        begun = time.monotonic()
        refused = refusedAfter(lab.ports["echo"], 5.0)
        for each in active:
            each.goOn()
        crowd.until(lambda: all(each.over for each in active), talk.PATIENCE)
        finished = max(each.gone for each in active) - begun
        left = lab.ended(limit + 10)
        ended = time.monotonic() - begun if left < float("inf") else left
        return [
            none("that lose a byte", sum(not each.complete for each in active)),
            atMost("all of them finished after", finished, 5, "s"),
            atMost("new connections refused after", 1e3 * refused, 50, "ms"),
            atMost("exit after", ended, limit + 0.5, "s"),
            holds(f"status {status}", lab.process.returncode == status),
        ]


def refusedAfter(address: talk.Address, seconds: float) -> float:
    """Return the seconds until connections are refused; infinite if that does not happen."""
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        with socket.socket() as sock:
            sock.settimeout(1.0)
            if sock.connect_ex(address) == errno.ECONNREFUSED:
                return time.monotonic() - begun
        time.sleep(0.001)
    return float("inf")
