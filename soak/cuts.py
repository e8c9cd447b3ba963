"""Case 4: messages cut at every byte, and ten thousand of them at once, in every framing."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterable

from soak import talk
from soak.case import PORT, Case
from soak.figures import every
from soak.lab import Lab
from soak.scale import Amount
from tcplab.wire.names import FRAMINGS

#: Long enough to have a length of more than one digit, and to hold what looks like a delimiter.
MESSAGE = b"3:one\\r, two, 12345678 and the rest of the message"

#: Every framing that has an end to its messages.
FRAMED = tuple(name for name in FRAMINGS if name != "stream")


class Cuts(Case):
    """One answer each, in order, however the messages come."""

    number = 4
    title = "messages cut anywhere, and many in one piece"
    many = Amount(10_000, 10_000, 10_000)
    #: Seconds between the two halves: the first has been read by then.
    pause = 0.001

    def run(self) -> None:
        """Try each framing at a port of its own."""
        words: list[str] = []
        for name in FRAMED:
            words += ["--serve", f"echo,framing={name}@tcp:0:interface=127.0.0.1:backlog=4096"]
        with self.serving(*PORT, "--behaviour", "echo", *words, warm=self._warm) as lab:
            for number, name in enumerate(FRAMED):
                self._try(name, self._port(lab, number))

    def _port(self, lab: Lab, number: int) -> talk.Address:
        return lab.ports[f"echo-{number + 2}"]  # behind the one of --port

    def _warm(self, lab: Lab) -> None:
        for number, name in enumerate(FRAMED):
            self._inOnePiece(self._port(lab, number), self._messages(name))

    def _try(self, name: str, address: talk.Address) -> None:
        frame = FRAMINGS[name].frame(MESSAGE)
        whole = 0
        with talk.connected(address) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
            for cut in range(1, len(frame)):
                sock.sendall(frame[:cut])
                time.sleep(self.pause)
                sock.sendall(frame[cut:])
                whole += talk.readExactly(sock, len(frame)) == frame
        self.tell(
            f"{name}: a message of {len(frame)} bytes, cut at each of them",
            every("answered", whole, len(frame) - 1),
        )
        messages = self._messages(name)
        self.tell(
            f"{name}: {len(messages):,} messages in one piece",
            every("answered in order", self._inOnePiece(address, messages), len(messages)),
        )

    def _messages(self, name: str) -> list[bytes]:
        return [FRAMINGS[name].frame(b"%d" % each) for each in range(self.amount(self.many))]

    def _inOnePiece(self, address: talk.Address, messages: list[bytes]) -> int:
        data = b"".join(messages)
        with talk.connected(address) as sock:
            # The answers may have to be read before all is taken.
            sender = threading.Thread(target=sock.sendall, args=[data])
            sender.start()
            heard = talk.readExactly(sock, len(data))
            sender.join()
        return inOrder(heard, messages)


def inOrder(heard: bytes, messages: Iterable[bytes]) -> int:
    """Count the messages that were answered before the first that was not."""
    position = count = 0
    for each in messages:
        if heard[position : position + len(each)] != each:
            break
        position += len(each)
        count += 1
    return count
