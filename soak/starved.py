"""Cases 18 and 19: little memory, little of a CPU, and none of it for a while."""

from __future__ import annotations

import signal
import time

from soak.case import PORT, Case
from soak.cgroups import Group, group
from soak.clients import Silent, Stuck
from soak.crowd import Crowd, Member
from soak.figures import MIB, atLeast, none
from soak.goodclient import GoodClient
from soak.integrity import flood
from soak.lab import Lab, Start
from soak.needs import CPU_CGROUP, MEMORY_CGROUP, missing
from soak.scale import Amount
from soak.slow import Dawdling
from tests.support.certificates import localhostFile


class LittleMemory(Case):
    """All clients that cost memory at once, and a server with little of it."""

    number = 18
    title = "little memory, and all who cost it at once"
    needs = (MEMORY_CGROUP,)
    #: The matrix's own; and what it has used at most, a process keeps.
    memory = growth = 160 * MIB
    stuck = Amount(50, 500, 500)
    streams = Amount(10, 100, 100)
    slow = Amount(500, 5000, 5000)
    duration = Amount(3, 15, 60)

    def run(self) -> None:
        """Let them come, and be good beside them."""
        pem = localhostFile(str(self.scratch))
        tls = f"echo@ssl:0:privateKey={pem}:certKey={pem}:interface=127.0.0.1:backlog=8192"
        chargen = "chargen@tcp:0:interface=127.0.0.1:backlog=4096"
        words = (*PORT, "--behaviour", "echo", "--serve", tls, "--serve", chargen)
        with group("memory") as limited:
            limited.set("memory.limit_in_bytes", self.memory)

            with self.serving(start=Start(words, limited.enter)) as lab:
                good = GoodClient(lab.ports["echo"])
                with good:
                    self._attack(lab, self.seconds(self.duration))
                    times = good.times()
                self._tell(limited, times.tries, times.failed)

    def _tell(self, limited: Group, tries: int, failed: int) -> None:
        most = limited.number("memory.max_usage_in_bytes") / MIB
        self.tell(
            f"{self.memory / MIB:g} MiB for {self.amount(self.stuck)} stuck echoes,"
            f" {self.amount(self.streams)} stuck streams and {self.amount(self.slow):,} slow"
            f" handshakes at once ({most:.0f} MiB used at most)",
            none("killed for want of memory", limited.number("memory.oom_control", "oom_kill")),
            atLeast("good client served", 100 * (tries - failed) / tries, 99.9, "%"),
        )

    def _attack(self, lab: Lab, seconds: float) -> None:
        end = time.monotonic() + seconds
        with Crowd() as crowd:
            stuck: list[Member] = [Stuck() for _ in range(self.amount(self.stuck))]
            streams: list[Member] = [Silent() for _ in range(self.amount(self.streams))]
            slow = [Dawdling() for _ in range(self.amount(self.slow))]
            crowd.addAll(stuck, lab.ports["echo"])
            crowd.addAll(streams, lab.ports["chargen"])
            crowd.addAll(slow, lab.ports["echo-2"])
            while time.monotonic() < end:
                for each in slow:
                    each.speak()
                crowd.during(min(1.0, end - time.monotonic()))


class Regular(Member):
    """
    Says a word now and then.

    :ivar said: how often.
    :ivar answers: bytes that came.
    """

    __slots__ = ("answers", "said")

    word = b"here"

    def __init__(self) -> None:
        super().__init__()
        self.said = self.answers = 0

    def speak(self) -> None:
        """Say it."""
        self.said += 1
        self.send(self.word)

    def heard(self, data: bytes) -> None:
        """Count."""
        self.answers += len(data)

    @property
    def complete(self) -> bool:
        """Whether it is there still, and was answered every time."""
        return not self.over and self.answers == self.said * len(self.word)


class LittleCPU(Case):
    """A fifth of a core, and then a server that stands still: late is not wrong."""

    number = 19
    title = "little of a CPU, and none of it for a while"
    clients = Amount(20, 100, 100)
    duration = Amount(2, 15, 60)
    #: Seconds: shorter than the server stands still, so that all are overdue when it goes on.
    idle, still = 2, 5

    def run(self) -> None:
        """Try the one and the other."""
        if lacks := missing([CPU_CGROUP]):
            self.skip("a fifth of a core", f"needs {lacks[0]}")
        else:
            self._fifth()
        self._standsStill()

    def _fifth(self) -> None:
        count, seconds = self.amount(self.clients), self.seconds(self.duration)
        words = (*PORT, "--behaviour", "echo", "--idle-timeout", str(self.idle))
        with group("cpu") as limited:
            limited.set("cpu.cfs_quota_us", 20_000)  # of 100,000
            with self.serving(start=Start(words, limited.enter), warm=self._flood) as lab:
                members = flood(lab, count, seconds)
        lost = sum(not each.complete for each in members)
        amount = sum(each.heardBytes for each in members) / MIB
        self.tell(
            f"a fifth of a core, {count} connections for {seconds:g} s, {amount:,.0f} MiB,"
            f" --idle-timeout {self.idle}",
            none("connections that are not whole", lost),
        )

    def _flood(self, lab: Lab) -> None:
        flood(lab, self.amount(self.clients), 1.0)

    def _standsStill(self) -> None:
        count = self.amount(self.clients)
        words = (*PORT, "--behaviour", "echo", "--idle-timeout", str(self.idle))
        with self.serving(*words, warm=self._flood) as lab, Crowd() as crowd:
            members = crowd.addAll([Regular() for _ in range(count)], lab.ports["echo"])
            self._speak(crowd, members, 1.0)
            lab.signal(signal.SIGSTOP)
            self._speak(crowd, members, float(self.still))
            lab.signal(signal.SIGCONT)
            self._speak(crowd, members, 2.0)
            crowd.until(lambda: all(each.complete for each in members), 5.0)
            wrong = sum(not each.complete for each in members)
        self.tell(
            f"SIGSTOP, {self.still} s, SIGCONT, while {count} clients say a word each half second,"
            f" --idle-timeout {self.idle}",
            none("clients ended or not answered", wrong),
        )

    def _speak(self, crowd: Crowd, members: list[Regular], seconds: float) -> None:
        for _ in range(int(2 * seconds)):
            for each in members:
                each.speak()
            crowd.during(0.5)
