"""Cases 15 and 16: peers that do not read cost little, and not for ever."""

from __future__ import annotations

import subprocess
import time

from soak import procfs, talk
from soak.case import PORT, Case
from soak.clients import Silent, Stuck
from soak.crowd import Crowd, Member
from soak.figures import KIB, Figure, atMost, none
from soak.goodclient import GoodClient, Times
from soak.lab import Lab
from soak.needs import SS
from soak.scale import Amount

#: Bytes for a connection that is stuck: what a process may hold, and what the kernel may.
USER, KERNEL = 256 * KIB, 1024 * KIB
#: Seconds until memory stops growing, at most. Without a bound it would be gigabytes.
FILLING = 20.0


class Stall(Case):
    """
    What cases with peers that do not read have in common.

    :cvar clients: how many.
    :cvar timeout: --write-timeout, in seconds.
    :cvar behaviour: what they are stuck in.
    :ivar user: bytes that the process holds for a connection.
    """

    needs = (SS,)
    clients: Amount
    timeout = Amount(4, 30, 30)
    behaviour = ""
    kind: type[Member] = Stuck
    user = 0.0

    def words(self) -> tuple[str, ...]:
        """Say how the server is started: as it is by default, unless in a hurry."""
        timeout = self.seconds(self.timeout)
        stall = () if timeout == 30 else ("--write-timeout", f"{timeout:g}")
        echo = "echo@tcp:0:interface=127.0.0.1:backlog=4096"
        return (*PORT, "--behaviour", self.behaviour, "--serve", echo, *stall)

    def warm(self, lab: Lab) -> None:
        """Do it all once: what is needed at most, a process keeps."""
        talk.echoed(lab.good)
        with Crowd() as crowd:
            crowd.addAll([self.kind()], lab.ports[self.behaviour])
            crowd.during(1.0)
        before = lab.resident
        with Crowd() as crowd:
            self.stall(crowd, lab)
            begun = time.monotonic()
            self.user = (lab.resident - before) / self.amount(self.clients)
            self.gone(lab, begun)
        # What malloc cannot use again at the second time, it can at the fourth.
        self.steady(lab, self._comeAndGo)

    def _comeAndGo(self, lab: Lab) -> None:
        with Crowd() as crowd:
            self.stall(crowd, lab)
        self.gone(lab, time.monotonic())

    def stall(self, crowd: Crowd, lab: Lab) -> float:
        """Get stuck, wait until that is done, and return the bytes of the kernel for each."""
        members = [self.kind() for _ in range(self.amount(self.clients))]
        crowd.addAll(members, lab.ports[self.behaviour])
        end = time.monotonic() + FILLING
        held, before = [1], 0
        while sum(held) > 1.01 * before and time.monotonic() < end:
            before = sum(held)
            crowd.during(1.0)
            held = kernelMemory(lab.ports[self.behaviour][1])
        return sum(held) / max(1, len(held))

    def gone(self, lab: Lab, begun: float) -> float:
        """Wait until all that are stuck are gone; return when that was."""
        limit = self.seconds(self.timeout) + 10
        while time.monotonic() - begun < limit:
            if procfs.connectionsOf(lab.pid, {lab.ports[self.behaviour][1]}) == 0:
                return time.monotonic() - begun
            time.sleep(0.1)
        return float("inf")

    def memory(self, kernel: float) -> tuple[Figure, Figure]:
        """Say what they cost."""
        return (
            atMost("memory of the process for each", self.user / KIB, USER / KIB, "KiB"),
            atMost("memory of the kernel for each", kernel / KIB, KERNEL / KIB, "KiB"),
        )


def kernelMemory(port: int) -> list[int]:
    """Ask the kernel for what it holds for each connection of a port of ours."""
    listing = subprocess.run(
        ["ss", "-tmnH", "state", "all", f"( sport = :{port} )"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    # What listens has room too, and needs none.
    lines = [line for line in listing.splitlines() if "LISTEN" not in line]
    return procfs.kernelMemory("\n".join(lines))


class StuckEchoes(Stall):
    """They send until nothing more is taken, and never read an answer."""

    number = 15
    title = "clients of echo that never read"
    clients = Amount(50, 500, 500)
    behaviour = "echo"

    def run(self) -> None:
        """Get stuck, be good beside it, and wait for the end."""
        count, timeout = self.amount(self.clients), self.seconds(self.timeout)
        with self.serving(*self.words(), warm=self.warm) as lab, Crowd() as crowd:
            kernel = self.stall(crowd, lab)
            begun = time.monotonic()
            times = self._good(lab)
            gone = self.gone(lab, begun)
        self.tell(
            f"{count} clients that send until they cannot, and never read",
            *self.memory(kernel),
            atMost("good client, p99", times.p99, 20, "ms"),
            none("good client refused or lost", times.failed),
            atMost("all gone after", gone, timeout + 2, "s"),
        )

    def _good(self, lab: Lab) -> Times:
        with GoodClient(lab.good) as good:
            time.sleep(self.seconds(self.timeout) / 4)
            return good.times()


class StuckStreams(Stall):
    """Everything is written for them, and they read nothing."""

    number = 16
    title = "clients of chargen that never read"
    clients = Amount(20, 100, 100)
    behaviour = "chargen"
    kind = Silent

    def run(self) -> None:
        """Get stuck, and see that the server sleeps."""
        count, timeout = self.amount(self.clients), self.seconds(self.timeout)
        with self.serving(*self.words(), warm=self.warm) as lab, Crowd() as crowd:
            kernel = self.stall(crowd, lab)
            begun = time.monotonic()
            cpu, then = lab.cpu, time.monotonic()
            time.sleep(timeout / 4)
            share = 100 * (lab.cpu - cpu) / (time.monotonic() - then)
            gone = self.gone(lab, begun)
        self.tell(
            f"{count} clients that read nothing of chargen",
            *self.memory(kernel),
            atMost("CPU while they are stuck", share, 2, "%"),
            atMost("all gone after", gone, timeout + 2, "s"),
        )
