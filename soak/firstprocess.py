"""Cases 31 and 32: the first process is killed; workers are killed again and again."""

from __future__ import annotations

import os
import random
import re
import signal
import socket
import time
from contextlib import suppress

from soak import talk
from soak.case import PORT, Case
from soak.clients import Asking
from soak.crowd import Crowd
from soak.draining import Finishing, refusedAfter
from soak.figures import MIB, atMost, every, none
from soak.lab import Lab
from soak.scale import Amount
from soak.workers import WORKERS, children, ready, until


class KilledFirst(Case):
    """The first process dies: the workers drain and leave."""

    number = 31
    title = "the first process is killed"
    active = Amount(20, 200, 1000)
    #: --drain-timeout.
    timeout = Amount(3, 5, 15)

    def run(self) -> None:
        """Kill it with conversations in flight, and one that would never end."""
        timeout, active = self.seconds(self.timeout), self.amount(self.active)
        words = (*PORT, *WORKERS, "--behaviour", "echo", "--drain-timeout", f"{timeout:g}")
        with self.serving(*words, warm=ready) as lab, Crowd() as crowd:
            address = lab.ports["echo"]
            members = [Finishing(number, MIB) for number in range(active)]
            crowd.addAll(members, address)
            workers = children(lab)
            lab.ending = True  # it is ours
            os.kill(lab.pid, signal.SIGKILL)
            begun = time.monotonic()
            refused = refusedAfter(address, 5.0)
            bound = until(lambda: _binds(address), 5.0)
            for each in members:
                each.goOn()
            crowd.until(lambda: all(each.over for each in members), timeout)
            gone = until(lambda: not any(map(_alive, workers)), timeout + 5)
            gone += time.monotonic() - begun - gone if gone < float("inf") else 0
            lab.process.wait()
        self.tell(
            f"kill -9 of the first process with {active:,} in the middle of 1 MiB of echo",
            none("that lose a byte", sum(not each.complete for each in members)),
            atMost("new connections refused after", 1e3 * refused, 1000, "ms"),
            atMost("the port is free again after", refused + bound, 1.0, "s"),
            atMost("all workers gone after", gone, timeout + 1, "s"),
        )


def _binds(address: talk.Address) -> bool:
    with socket.socket() as sock, suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen()
        return True
    return False


def _alive(pid: int) -> bool:
    with suppress(OSError), open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] != "Z"
    return False


class Stampede(Case):
    """Workers are killed again and again, whatever they are doing."""

    number = 32
    title = "workers are killed again and again"
    clients = Amount(100, 100, 100)
    lasting = Amount(3, 10, 10)

    def run(self) -> None:
        """Kill one each 100 ms, of those that there are."""
        clients, lasting = self.amount(self.clients), self.seconds(self.lasting)
        with self.serving(*PORT, "--workers", "4", "--behaviour", "echo", warm=ready) as lab:
            address, before = lab.ports["echo"], lab.cpu
            kills, starts = self._kill(lab, clients, lasting)
            again = talk.answering(address, 10.0)
            share = 100 * (lab.cpu - before) / lasting
            complete = until(lambda: len(children(lab)) == 5, 10.0)
            ready(lab)
            with Crowd() as crowd:
                members = crowd.addAll([Asking() for _ in range(clients)], address)
                crowd.until(lambda: all(each.served for each in members), 5.0)
                served = sum(each.served for each in members)
        self.tell(
            f"kill -9 of one of 4 workers each 100 ms for {lasting:g} s, {kills} in all,"
            f" with {clients} clients",
            atMost("an answer after", again, 1, "s"),
            atMost("starts in one second", starts, 20),
            atMost("CPU of the first process", share, 25, "%"),
            atMost("all processes are there after", complete, 5, "s"),
            every("then served", served, clients),
        )

    def _kill(self, lab: Lab, clients: int, lasting: float) -> tuple[int, int]:
        """Return how many were killed, and the most starts that the log tells of in a second."""
        dice, kills = random.Random(lab.pid), 0
        end = time.monotonic() + lasting
        with Crowd() as crowd:
            for _ in range(clients):
                crowd.add(Asking(), lab.ports["echo"])
            while time.monotonic() < end:
                if victims := children(lab):
                    with suppress(ProcessLookupError):
                        os.kill(dice.choice(victims), signal.SIGKILL)
                        kills += 1
                crowd.during(0.1)
        deaths = re.findall(r"^(\S+?)\+.*was killed by SIGKILL", lab.log, re.MULTILINE)
        return kills, max((deaths.count(each) for each in deaths), default=0)
