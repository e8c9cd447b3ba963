"""Case 17: clients that dawdle are not waited for."""

from __future__ import annotations

import time

from OpenSSL import SSL

from soak import secure
from soak.case import PORT, Case
from soak.crowd import Crowd, Member
from soak.figures import MIB, atMost, none
from soak.goodclient import GoodClient
from soak.lab import Lab
from soak.scale import Amount
from tests.support.certificates import localhostFile

#: Seconds between a hundred clients and the next: they come as fast as 5,000 a second.
PAUSE = 0.02
#: Parts of a second in which they speak: five thousand clients do not do so in one moment.
PARTS = 50
#: --handshake-timeout as it is by default, and a second.
DEADLINE = 5.0


def _hello() -> bytes:
    """Make a real ClientHello, as a client of OpenSSL's would say it first."""
    tls = SSL.Connection(secure.trusting(), None)
    tls.set_connect_state()
    try:
        tls.do_handshake()
    except SSL.WantReadError:
        return tls.bio_read(65536)
    raise AssertionError("it completed no handshake")


class Dawdling(Member):
    """
    Says its ClientHello byte by byte.

    :ivar gone: when it was told to go; infinite until then.
    """

    __slots__ = ("gone", "said")

    hello = _hello()

    def __init__(self) -> None:
        super().__init__()
        self.said = 0
        self.gone = float("inf")

    def speak(self) -> None:
        """Say the next byte."""
        if not self.over and self.opened < float("inf"):
            self.said += self.send(self.hello[self.said : self.said + 1])

    @property
    def seconds(self) -> float:
        """From its being connected to the end."""
        return self.gone - self.opened

    def ended(self) -> None:
        """Note when."""
        self.gone = time.monotonic()
        super().ended()


class HalfLine(Dawdling):
    """Says half a line, and no more."""

    hello = b"and then he said"

    def connected(self) -> None:
        """Say all of it."""
        self.send(self.hello)
        self.said = len(self.hello)


#: What proxies say of themselves, see the PROXY protocol, 2.1.
OWN_HEADER = "PROXY UNKNOWN\r\n"


class HalfHeader(Dawdling):
    """Says a PROXY header byte by byte."""

    hello = b"PROXY TCP4 192.0.2.1 192.0.2.2 1000 2000\r\n"


class Slowloris(Case):
    """A byte now and then does not prolong a handshake, nor half a line a connection."""

    number = 17
    title = "slowloris"
    clients = Amount(500, 5000, 5000)
    #: Of those that want to shake hands beside them.
    good = Amount(20, 200, 200)
    #: Seconds between two bytes.
    pause = 1.0
    #: One per cent of what five thousand handshakes take at once: malloc gives not all of it back.
    growth = 4 * MIB
    #: --idle-timeout, which is off by default.
    idle = 3.0

    def run(self) -> None:
        """Dawdle by thousands, and be good beside it; afterwards also on the very port."""
        self._handshakes()
        self._full()
        self._headers()
        self._lines()

    def _handshakes(self) -> None:
        pem = localhostFile(str(self.scratch))
        tls = f"echo@ssl:0:privateKey={pem}:certKey={pem}:interface=127.0.0.1:backlog=8192"
        count = self.amount(self.clients)

        def warm(lab: Lab) -> None:
            self.steady(lab, lambda lab: self._dawdle(lab, "echo-2", count, DEADLINE + 1))

        words = (*PORT, "--behaviour", "echo", "--serve", tls)
        with self.serving(*words, warm=warm) as lab, GoodClient(lab.ports["echo"]) as good:
            members = self._dawdle(lab, "echo-2", count, DEADLINE + 3)
            times = good.times()
            shaken = self._shake(lab)
        dropped = sum(each.seconds < DEADLINE - 1 for each in members)
        self.tell(
            f"{count:,} clients that say a ClientHello with a byte a second"
            f" ({dropped:,} are dropped early)",
            atMost("all closed after", max(each.seconds for each in members), DEADLINE + 1, "s"),
            atMost("good client, p99", times.p99, 20, "ms"),
            none("good client refused or lost", times.failed),
            none("handshake refused afterwards", not shaken),
        )

    def _full(self) -> None:
        """Want a place where all are taken by handshakes that do not go on."""
        pem = localhostFile(str(self.scratch))
        tls = f"echo@ssl:0:privateKey={pem}:certKey={pem}:interface=127.0.0.1:backlog=8192"
        count, good = self.amount(self.clients), self.amount(self.good)
        most = count * 2 // 5
        words = (*PORT, "--behaviour", "echo", "--serve", tls, "--max-connections", str(most))

        def warm(lab: Lab) -> None:
            self.steady(lab, lambda lab: self._dawdle(lab, "echo-2", count, DEADLINE + 1))

        with self.serving(*words, warm=warm) as lab, Crowd() as crowd:
            crowd.addAll([Dawdling() for _ in range(count)], lab.ports["echo-2"], pause=PAUSE)
            begun = time.monotonic()
            refused = sum(not self._shake(lab) for _ in range(good))
            seconds = time.monotonic() - begun
        self.tell(
            f"{count:,} clients that never say a ClientHello, --max-connections {most:,};"
            f" {good} good ones on the same port, one after the other",
            none("good ones not served", refused),
            atMost("all of them after", seconds, count / most * 2 + 2, "s"),
        )

    def _headers(self) -> None:
        count = self.amount(self.clients)
        words = (*PORT, "--behaviour", "echo", "--proxy-protocol", "any")

        def warm(lab: Lab) -> None:
            self.steady(lab, lambda lab: self._dawdle(lab, "echo", count, DEADLINE + 1, HalfHeader))

        with self.serving(*words, "--proxy-from", "127.0.0.1", warm=warm) as lab:
            good = GoodClient(lab.ports["echo"], preface=OWN_HEADER)
            with good:
                members = self._dawdle(lab, "echo", count, DEADLINE + 3, HalfHeader)
                times = good.times()
        dropped = sum(each.seconds < DEADLINE - 1 for each in members)
        self.tell(
            f"{count:,} clients that say a PROXY header with a byte a second"
            f" ({dropped:,} are dropped early)",
            atMost("all closed after", max(each.seconds for each in members), DEADLINE + 1, "s"),
            atMost("good client, p99", times.p99, 20, "ms"),
            none("good client refused or lost", times.failed),
        )

    def _lines(self) -> None:
        count = self.amount(self.clients)
        lines = "lab,framing=lines@tcp:0:interface=127.0.0.1:backlog=8192"
        words = (*PORT, "--behaviour", "echo", "--serve", lines, "--idle-timeout", f"{self.idle:g}")

        def warm(lab: Lab) -> None:
            self.steady(lab, lambda lab: self._dawdle(lab, "lab", count, self.idle + 2, HalfLine))

        with self.serving(*words, warm=warm) as lab, GoodClient(lab.ports["echo"]) as good:
            members = self._dawdle(lab, "lab", count, self.idle + 3, HalfLine)
            times = good.times()
        self.tell(
            f"{count:,} clients that say half a line, --idle-timeout {self.idle:g}",
            atMost("all closed after", max(each.seconds for each in members), self.idle + 1, "s"),
            atMost("good client, p99", times.p99, 20, "ms"),
            none("good client refused or lost", times.failed),
        )

    def _dawdle(
        self, lab: Lab, name: str, count: int, seconds: float, kind: type[Dawdling] = Dawdling
    ) -> list[Dawdling]:
        with Crowd() as crowd:
            members = crowd.addAll([kind() for _ in range(count)], lab.ports[name], pause=PAUSE)
            end = time.monotonic() + seconds
            part = 0
            while time.monotonic() < end and crowd.members:
                due = time.monotonic() + self.pause / PARTS
                for each in members[part::PARTS]:
                    each.speak()
                part = (part + 1) % PARTS
                crowd.until(lambda: not crowd.members, due - time.monotonic())
        return members

    def _shake(self, lab: Lab) -> bool:
        try:
            with secure.secured(secure.trusting(), lab.ports["echo-2"]) as tls:
                return secure.exchange(tls, b"hello") == b"hello"
        except (OSError, SSL.Error):
            return False
