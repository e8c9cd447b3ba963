"""Cases 24 and 25: peers that vanish, and peers that never were."""

from __future__ import annotations

import time

from soak import procfs
from soak.case import PORT, Case
from soak.clients import Asking, Silent
from soak.crowd import Crowd, Member
from soak.figures import atMost, every, none
from soak.goodclient import GoodClient
from soak.lab import Lab, Start
from soak.needs import NETWORKS, NFT
from soak.networks import CLIENT, OTHER_CLIENT, SERVER, cable, dropping
from soak.scale import Amount

ECHO = (*PORT, "--interface", SERVER, "--behaviour", "echo")


class DeadPeers(Case):
    """The cable is cut, and the clients die; no FIN ever comes."""

    number = 24
    title = "peers that are gone without a word"
    needs = (NETWORKS, NFT)
    clients = 20
    #: Seconds: keepalive after 60, and six tries 10 apart; what is on its way has as much.
    bound = 120

    def run(self) -> None:
        """Cut it while some are idle, and some are in the middle of an answer."""
        chargen = f"chargen@tcp:0:interface={SERVER}"
        with cable() as (client, server):
            start = Start((*ECHO, "--serve", chargen), server.enter)
            with self.serving(start=start, warm=lambda lab: None) as lab:
                with client.entered(), Crowd() as crowd:
                    members: list[Member] = [Asking() for _ in range(self.clients)]
                    streams: list[Member] = [Silent() for _ in range(self.clients)]
                    crowd.addAll(members, lab.ports["echo"])
                    crowd.addAll(streams, lab.ports["chargen"])
                    crowd.during(1.0)
                    for end in (client, server):
                        dropping(end)
                    begun = time.monotonic()
                streaming = self._gone(lab, "chargen", begun)
                idle = self._gone(lab, "echo", begun)
        self.tell(
            f"cable cut, {self.clients} idle clients and {self.clients} in the middle of an answer",
            atMost("idle ones gone after", idle, self.bound, "s"),
            atMost("the others after", streaming, self.bound, "s"),
        )

    def _gone(self, lab: Lab, name: str, begun: float) -> float:
        while time.monotonic() - begun < self.bound + 10:
            if procfs.connectionsOf(lab.pid, {lab.ports[name][1]}) == 0:
                return time.monotonic() - begun
            time.sleep(0.1)
        return float("inf")


class SynFlood(Case):
    """SYNs whose answers are never heard fill the queue; the kernel sends cookies."""

    number = 25
    title = "SYN flood"
    needs = (NETWORKS, NFT)
    connects = Amount(2000, 10_000, 10_000)
    duration = Amount(2, 5, 30)

    def run(self) -> None:
        """Flood from one address, and be good from another."""
        count = self.amount(self.connects)
        with cable() as (client, server):
            dropping(client, "ip", "daddr", OTHER_CLIENT)
            with self.serving(start=Start(ECHO, server.enter), warm=self._nothing) as lab:
                with client.entered(), Crowd() as crowd:
                    for _ in range(count):
                        crowd.add(Asking(), lab.ports["echo"], OTHER_CLIENT)
                    with GoodClient(lab.ports["echo"], CLIENT, client.enter) as good:
                        time.sleep(self.seconds(self.duration))
                        times = good.times()
                cookies = procfs.counter(lab.pid, "SyncookiesSent")
        self.tell(
            f"{count:,} SYNs that go no further ({cookies:,} cookies sent)",
            atMost("good client, p99", times.p99, 50, "ms"),
            none("good client refused or lost", times.failed),
            every("good client's tries", times.tries, 1),
        )

    def _nothing(self, lab: Lab) -> None:
        """No client: this network cannot be reached from here."""
