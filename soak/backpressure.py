"""Case 3: small buffers, small chunks, and readers that are slow or late: nothing gets stuck."""

from __future__ import annotations

import random
import select
import socket
import time

from soak import talk
from soak.case import PORT, Case
from soak.crowd import Crowd
from soak.figures import KIB, MIB, atMost, none, told
from soak.integrity import Checking
from soak.lab import Lab, Start
from soak.needs import NETWORKS, missing
from soak.networks import Network, network
from soak.scale import Amount


class SlowReader(Checking):
    """
    Checks too, but reads a kilobyte at a time, and not before it is told to.

    :ivar stalled: seconds from its turn to read until there was something, at most.
    """

    __slots__ = ("_hungry", "stalled")

    def __init__(self, seed: int, limit: int) -> None:
        super().__init__(seed, limit)
        self._hungry = 0.0
        self.stalled = 0.0

    def connected(self) -> None:
        """Say all that goes, and read only in its turn."""
        self.watch(reading=False, writing=True)

    def finishSaying(self) -> None:
        """Half-close, and still read only in its turn."""
        super().finishSaying()
        self.watch(reading=False)

    def read(self) -> None:
        """Take its turn."""
        try:
            data = self.sock.recv(KIB)
        except BlockingIOError:
            self._hungry = self._hungry or time.monotonic()
            return
        except OSError as e:
            self.lost(e.errno)
            return
        if self._hungry:
            self.stalled = max(self.stalled, time.monotonic() - self._hungry)
            self._hungry = 0.0
        if data:
            self.heard(data)
        else:
            self.lost(0)

    def ended(self) -> None:
        """Count what it has waited for in vain, too."""
        if self._hungry:
            self.stalled = max(self.stalled, time.monotonic() - self._hungry)
        super().ended()


class TinyBuffers(Case):
    """Kernel buffers of a page and slow readers; then chunks of a byte and late readers."""

    number = 3
    title = "tiny kernel buffers and slow readers"
    connections = Amount(10, 50, 50)
    #: Each reads 100 KiB/s: ten seconds.
    size = Amount(100 * KIB, MIB, MIB)
    turn = 0.01
    #: So many late readers, one after the other.
    late = Amount(1, 3, 10)

    def run(self) -> None:
        """Try the ones and the others."""
        if lacks := missing([NETWORKS]):
            self.skip("16 KiB of kernel buffers at most", f"needs {lacks[0]}")
        else:
            self._tiny()
        self._late()

    def _tiny(self) -> None:
        count, size = self.amount(self.connections), self.amount(self.size)
        with network() as net:
            for name in ("tcp_rmem", "tcp_wmem"):
                net.set(name, "4096 4096 16384")

            def warm(lab: Lab) -> None:
                self._talk(net, lab, 1, 50 * KIB)
                bare = lab.resident
                self._talk(net, lab, count, size)
                self._grown = self._most - bare

            start = Start((*PORT, "--behaviour", "echo"), net.enter)
            with self.serving(start=start, warm=warm) as lab:
                members = self._talk(net, lab, count, size)
        self.tell(
            f"{count} connections of {told(size / KIB, 'KiB')}, tcp_rmem and tcp_wmem of 16 KiB,"
            " readers of 1 KiB each 10 ms",
            none("connections that are not whole", sum(not each.complete for each in members)),
            atMost("longest stall", max(each.stalled for each in members), 1, "s"),
            atMost("RSS growth a connection", self._grown / count / KIB, 128, "KiB"),
        )

    def _talk(self, net: Network, lab: Lab, count: int, size: int) -> list[SlowReader]:
        members = [SlowReader(number, size) for number in range(count)]
        with net.entered(), Crowd() as crowd:
            crowd.addAll(members, lab.ports["echo"])
            self._most = self._read(lab, crowd)
        return members

    def _read(self, lab: Lab, crowd: Crowd) -> int:
        largest = lab.resident
        end = time.monotonic() + 60
        while crowd.members and time.monotonic() < end:
            due = time.monotonic() + self.turn
            for each in list(crowd.members.values()):
                assert isinstance(each, SlowReader)
                each.read()
            largest = max(largest, lab.resident)
            crowd.during(due - time.monotonic())
        return largest

    def _late(self) -> None:
        count = self.amount(self.late)
        with self.serving(*PORT, "--behaviour", "echo", warm=self._warm) as lab:
            found = [lateReader(lab.ports["echo"], seed, LATE) for seed in range(count)]
        self.tell(
            f"{count} clients, one after the other, that say {LATE:,} bytes, one or two at a time,"
            " and read only then",
            none("connections that are not whole", sum(not whole for whole, _ in found)),
            atMost("longest stall", max(stall for _, stall in found), 1, "s"),
        )

    def _warm(self, lab: Lab) -> None:
        lateReader(lab.ports["echo"], 0, LATE // 100)


#: More than the server's kernel takes when each byte comes in a segment of its own, and the server
#: does not read because its answers are not.
LATE = 1_500_000


def lateReader(address: talk.Address, seed: int, size: int) -> tuple[bool, float]:
    """
    Say something in the smallest of chunks, and read only when it is said, or no more is taken.

    :return: whether all came back; and the longest time without a byte of it, infinite if the rest
        never came.
    """
    dice = random.Random(seed)
    with talk.connected(address) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        sock.setblocking(False)
        said = 0
        while said < size:
            try:
                said += sock.send(talk.pattern(said, dice.randint(1, 2)))
            except BlockingIOError:
                if not select.select([], [sock], [], 0.2)[1]:
                    break
        heard, longest = 0, 0.0
        while heard < said:
            begun = time.monotonic()
            if not select.select([sock], [], [], STUCK)[0]:
                return False, float("inf")
            longest = max(longest, time.monotonic() - begun)
            piece = sock.recv(1 << 18)
            if not piece or piece != talk.pattern(heard, len(piece)):
                return False, longest
            heard += len(piece)
    return True, longest


#: Seconds after which nothing more is expected.
STUCK = 5.0
