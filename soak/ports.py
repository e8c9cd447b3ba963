"""Case 20: no port is left to connect from; one is told so, and goes on when there is one."""

from __future__ import annotations

import os
import subprocess
import sysconfig
import time

from soak.accepting import CPU, Window
from soak.case import PORT, Case
from soak.clients import Asking
from soak.crowd import Crowd
from soak.figures import atMost, every, holds
from soak.lab import ROOT, Lab, Start
from soak.needs import NETWORKS
from soak.networks import Network, network

TCPLAB = os.path.join(sysconfig.get_path("scripts"), "tcplab")


class NoPorts(Case):
    """A network with 50 ports for clients, and 50 clients."""

    number = 20
    title = "no ports left to connect from"
    needs = (NETWORKS,)
    #: An even number: of an odd one Linux leaves out one or not.
    first, last = 40_000, 40_049

    def run(self) -> None:
        """Take them all, try one more, and let one go."""
        count = self.last - self.first + 1
        with network() as net:
            start = Start((*PORT, "--behaviour", "echo"), net.enter)
            with self.serving(start=start, warm=lambda lab: self._call(net, lab)) as lab:
                net.set("ip_local_port_range", f"{self.first} {self.last}")
                with net.entered(), Crowd() as crowd:
                    self._try(net, lab, crowd, count)

    def _try(self, net: Network, lab: Lab, crowd: Crowd, count: int) -> None:
        inside = crowd.addAll([Asking() for _ in range(count)], lab.ports["echo"])
        crowd.until(lambda: all(each.served for each in inside), 5.0)
        window = Window(lab)
        refused = self._call(net, lab)
        crowd.during(1.0)
        window.close()
        inside[0].reset()  # so that its port is free at once
        begun = time.monotonic()
        served = self._call(net, lab)
        recovery = time.monotonic() - begun
        said = refused.stderr.strip()
        self.tell(
            f"{count} ports, {count} clients, and `tcplab connect`, which says: {said}",
            every("of the clients served", sum(each.served for each in inside), count),
            holds("one line, and a status that is not 0", plain(refused)),
            atMost("CPU of the server", window.cpu, CPU, "%"),
            holds("connects when one has gone", (served.returncode, served.stdout) == (0, "hi")),
            atMost("within", recovery, 1, "s"),
        )

    def _call(self, net: Network, lab: Lab) -> subprocess.CompletedProcess[str]:
        host, port = lab.ports["echo"]
        with net.entered():
            return subprocess.run(
                [TCPLAB, "connect", f"{host}:{port}"],
                input="hi",
                capture_output=True,
                text=True,
                timeout=30,
                check=False,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )


def plain(done: subprocess.CompletedProcess[str]) -> bool:
    """Tell whether a command has failed as it should: with one line that is no traceback."""
    lines = done.stderr.strip().splitlines()
    return done.returncode != 0 and len(lines) == 1 and "Traceback" not in lines[0]
