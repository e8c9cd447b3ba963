"""Case 5: the classic simple services, to the letter."""

from __future__ import annotations

import itertools
import re
import socket
import struct
import time

from soak import talk
from soak.case import PORT, Case
from soak.figures import GIB, MIB, Figure, atMost, holds, none, told
from soak.lab import Lab
from soak.scale import Amount

NAMES = ("discard", "chargen", "qotd", "daytime", "time")
#: Between 1900 and 1970, as RFC 868 says.
_EPOCH = 2_208_988_800


class Services(Case):
    """Echo, discard, chargen, qotd, daytime and time, compared with what the RFCs say."""

    number = 5
    title = "the classic simple services"
    discarded = Amount(64 * MIB, GIB, GIB)
    characters = Amount(MIB, MIB, MIB)

    def run(self) -> None:
        """Ask each."""
        words = [*PORT, "--behaviour", "echo"]
        for name in NAMES:
            words += ["--serve", f"{name}@tcp:0:interface=127.0.0.1:backlog=4096"]
        with self.serving(*words, warm=self._warm) as lab:
            data = talk.stream(MIB)
            same = talk.exchange(talk.connected(lab.ports["echo"]), data) == data
            self.tell("echo (RFC 862), 1 MiB", holds("the same", same))
            self._discard(lab)
            self._chargen(lab)
            self._short(lab)

    def _warm(self, lab: Lab) -> None:
        talk.exchange(talk.connected(lab.ports["echo"]), talk.stream(MIB))
        for name in NAMES:
            with talk.connected(lab.ports[name]) as sock:
                if name == "discard":
                    # Until malloc has its places for the largest reads.
                    sock.sendall(bytes(128 * MIB))
                    sock.shutdown(socket.SHUT_WR)
                sock.recv(65536)

    def _discard(self, lab: Lab) -> None:
        size = self.amount(self.discarded)
        before, largest, piece = lab.resident, 0, bytes(MIB)
        with talk.connected(lab.ports["discard"]) as sock:
            for _ in range(0, size, MIB):
                sock.sendall(piece)
                largest = max(largest, lab.resident)
            sock.shutdown(socket.SHUT_WR)
            back = len(talk.readAll(sock))
        self.tell(
            f"discard (RFC 863), {told(size / GIB, 'GiB')}",
            none("bytes that come back", back),
            atMost("RSS growth", (largest - before) / MIB, 1, "MiB"),
        )

    def _chargen(self, lab: Lab) -> None:
        size = self.amount(self.characters)
        with talk.connected(lab.ports["chargen"]) as sock:
            heard = talk.readExactly(sock, size)
        wrong = sum(one != other for one, other in zip(heard, characters(size), strict=True))
        self.tell(f"chargen (RFC 864), {told(size / MIB, 'MiB')}", none("wrong bytes", wrong))

    def _short(self, lab: Lab) -> None:
        quote, day, binary = (self._said(lab, name) for name in ("qotd", "daytime", "time"))
        self.tell(
            "qotd (RFC 865)",
            atMost("bytes", len(quote), 511),
            holds("printable lines", printable(quote)),
        )
        # No syntax is asked for; one line is, and today is in it.
        line = day.endswith(b"\r\n") and day.count(b"\n") == 1
        year = time.strftime("%Y").encode() in day
        self.tell("daytime (RFC 867)", holds("one line, of this year", line and year))
        self.tell("time (RFC 868)", holds("4 bytes", len(binary) == 4), *self._clock(binary))

    def _said(self, lab: Lab, name: str) -> bytes:
        with talk.connected(lab.ports[name]) as sock:
            return talk.readAll(sock)

    def _clock(self, binary: bytes) -> list[Figure]:
        (seconds,) = struct.unpack("!I", binary)
        return [atMost("away from ours", abs(seconds - _EPOCH - time.time()), 2, "s")]


def characters(size: int) -> bytes:
    """
    Return the pattern of RFC 864: lines of 72 of the 95 printable characters.

    Written down here once more, so that the lab's own is not compared with itself.
    """
    ring = bytes(range(0x20, 0x7F)) * 2
    lines = (ring[start : start + 72] + b"\r\n" for start in itertools.cycle(range(95)))
    whole = b"".join(itertools.islice(lines, size // 74 + 1))
    return whole[:size]


def printable(text: bytes) -> bool:
    """Tell whether a text is of printable characters, spaces and line ends only."""
    return re.fullmatch(rb"[\x20-\x7e\r\n]+", text) is not None
