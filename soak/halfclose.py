"""Case 1: not a byte of an answer is lost to a half-close right behind the question."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from OpenSSL import SSL

from soak import secure, talk
from soak.case import PORT, Case
from soak.figures import none
from soak.lab import Lab
from soak.scale import Amount
from tcplab.wire.texts import ACK
from tests.support.certificates import localhostFile

#: The matrix's sizes. The last is far more than any buffer: an end that half-closes too early loses
#: most of it. It costs as much as a thousand others, so only few exchanges have it.
SIZES = (1, 7, 1000, 60_000)
BULK, SELDOM = 20_000_000, 500


class HalfClose(Case):
    """Exchanges of send, half-close, read to the end: plain, on TLS, with late readers, and ack."""

    number = 1
    title = "half-close right after the data"
    #: The matrix's 10,000 of each.
    exchanges = Amount(200, 10_000, 10_000)
    #: A handshake takes milliseconds.
    secured = Amount(50, 10_000, 10_000)

    def run(self) -> None:
        """Try each kind against one server."""
        pem = localhostFile(str(self.scratch))
        tls = f"echo@ssl:0:privateKey={pem}:certKey={pem}:interface=127.0.0.1:backlog=4096"
        ack = "ack@tcp:0:interface=127.0.0.1:backlog=4096"
        words = (*PORT, "--behaviour", "echo", "--serve", tls, "--serve", ack)
        self.context = secure.trusting()
        with self.serving(*words, warm=self._warm) as lab:
            many, secured = self.amount(self.exchanges), self.amount(self.secured)
            self._try(lab, "echo", mixed(many), self._plain)
            self._try(lab, "echo, late reader", [BULK] * (many // 100), self._late)
            self._try(lab, "echo on TLS", few(secured), self._secured)
            self._try(lab, "ack", few(many), self._ack)
            self._forward(lab, many)

    def _forward(self, echo: Lab, many: int) -> None:
        """Ask an echo behind another lab, which passes half-closes on, both ways."""
        host, port = echo.ports["echo"]
        name = "forward"

        def one(lab: Lab, size: int) -> bool:
            data = talk.stream(size)
            return talk.exchange(talk.connected(lab.ports[name]), data) == data

        def warm(lab: Lab) -> None:
            for size in (*SIZES, BULK):
                one(lab, size)

        with self.serving(*PORT, "--behaviour", f"{name},to=tcp:{host}:{port}", warm=warm) as lab:
            self._try(lab, "echo behind a forward", mixed(many), one)

    def _warm(self, lab: Lab) -> None:
        for size in (*SIZES, BULK):
            self._plain(lab, size)
        self._late(lab, BULK)
        for size in SIZES:
            self._secured(lab, size)
            self._ack(lab, size)

    def _try(
        self, lab: Lab, name: str, sizes: Sequence[int], one: Callable[[Lab, int], bool]
    ) -> None:
        lost = 0
        for size in sizes:
            try:
                lost += not one(lab, size)
            except (OSError, SSL.Error):
                lost += 1
        done = f"{len(sizes):,} half-closes, {name}, {min(sizes):,} to {max(sizes):,} bytes"
        self.tell(done, none("exchanges that lose a byte", lost))

    def _plain(self, lab: Lab, size: int) -> bool:
        data = talk.stream(size)
        return talk.exchange(talk.connected(lab.ports["echo"]), data) == data

    def _late(self, lab: Lab, size: int) -> bool:
        data = talk.stream(size)
        return talk.exchange(talk.connected(lab.ports["echo"]), data, late=True) == data

    def _secured(self, lab: Lab, size: int) -> bool:
        data = talk.stream(size)
        with secure.secured(self.context, lab.ports["echo-2"]) as tls:
            return secure.exchange(tls, data) == data

    def _ack(self, lab: Lab, size: int) -> bool:
        return talk.exchange(talk.connected(lab.ports["ack"]), talk.stream(size)) == ACK


def few(count: int) -> list[int]:
    """Return sizes that a blocking client can write before it reads: buffers hold them."""
    return [SIZES[number % len(SIZES)] for number in range(count)]


def mixed(count: int) -> list[int]:
    """Return sizes with the large one among them, at least once."""
    return [BULK if number % SELDOM == 0 else SIZES[number % len(SIZES)] for number in range(count)]
