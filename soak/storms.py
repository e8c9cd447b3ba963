"""Cases 9, 10 and 26: thousands come at once, a million come and go, a thousand break off."""

from __future__ import annotations

import re
import time
from collections import Counter

from soak import talk
from soak.case import PORT, Case
from soak.crowd import Crowd, Member
from soak.figures import MIB, atMost, none, percentile
from soak.lab import Lab
from soak.scale import Amount


class Greeted(Member):
    """Waits for the greeting."""

    @property
    def seconds(self) -> float:
        """From the first SYN to the first byte of the greeting."""
        return self.first - self.began


class ConnectStorm(Case):
    """All clients connect at the same time."""

    number = 9
    title = "connect storm"
    connects = Amount(1000, 5000, 5000)

    def run(self) -> None:
        """Connect, and wait for the greeting of each."""
        count = self.amount(self.connects)

        def load(lab: Lab) -> None:
            self._storm(lab, count)

        with self.serving(
            *PORT, "--behaviour", "lab", warm=lambda lab: self.steady(lab, load)
        ) as lab:
            members = self._storm(lab, count)
        refused = sum(bool(each.over) or each.first == float("inf") for each in members)
        self.tell(
            f"{count:,} connects at once",
            none("refused, reset or not greeted", refused),
            atMost(
                "connect and greeting, p99", percentile([m.seconds for m in members], 99), 1, "s"
            ),
        )

    def _storm(self, lab: Lab, count: int) -> list[Greeted]:
        with Crowd() as crowd:
            members = [crowd.add(Greeted(), lab.ports["lab"]) for _ in range(count)]
            crowd.until(lambda: all(each.first < float("inf") or each.over for each in members), 20)
            return members


class Coming(Member):
    """Says a word, hears it, and goes: by a FIN, or by a reset."""

    __slots__ = ("_graceful", "served")

    def __init__(self, graceful: bool) -> None:
        super().__init__()
        self._graceful = graceful
        self.served = False

    def connected(self) -> None:
        """Ask."""
        self.send(b"hello")

    def heard(self, data: bytes) -> None:
        """Go."""
        self.served = data == b"hello"
        if self._graceful:
            self.close()
        else:
            self.reset()


class Churn(Case):
    """One comes when another has gone; half of them break off."""

    number = 10
    title = "churn"
    connections = Amount(2000, 1_000_000, 1_000_000)
    #: At a time: enough to keep both sides busy.
    window = 50
    #: The matrix's own.
    growth = 4 * MIB
    #: Of all that the garbage collector knows, one in a hundred.
    objects = 0.01

    def run(self) -> None:
        """Count the server's objects before and after, through a behaviour of ours."""
        count = self.amount(self.connections)
        words = (
            *PORT,
            "--behaviour",
            "echo",
            "--serve",
            "soak.probe.Objects@tcp:0:interface=127.0.0.1",
        )
        with self.serving(*words, warm=lambda lab: self._churn(lab, 1000)) as lab:
            before = objectsOf(lab)
            begun = time.monotonic()
            lost = self._churn(lab, count)
            rate = count / (time.monotonic() - begun)
            crowdless = objectsOf(lab)
        grown = abs(crowdless - before) / before
        self.tell(
            f"{count:,} connections, {rate:,.0f} a second, half of them reset",
            none("not served", lost),
            atMost("objects more or less", 100 * grown, 100 * self.objects, "%"),
        )

    def _churn(self, lab: Lab, count: int) -> int:
        served = begun = 0
        alive: set[Coming] = set()
        with Crowd() as crowd:
            while begun < count or alive:
                while begun < count and len(alive) < self.window:
                    alive.add(crowd.add(Coming(begun % 2 == 0), lab.ports["echo"], _source(begun)))
                    begun += 1
                crowd.turn(1.0)
                gone = {each for each in alive if each.sock.fileno() < 0}
                served += sum(each.served for each in gone)
                if not gone and all(
                    time.monotonic() - each.began > talk.PATIENCE for each in alive
                ):
                    break
                alive -= gone
        return count - served


def _source(number: int) -> str:
    # A port that was closed gracefully waits a minute (TIME_WAIT): 28,232 are too few for one.
    return f"127.0.0.{2 + number % 200}"


def objectsOf(lab: Lab) -> int:
    """Ask a server for the number of its objects, after it has collected its garbage."""
    address = next(place for name, place in lab.ports.items() if "Objects" in name)
    with talk.connected(address) as sock:
        return int(talk.readAll(sock))


class Active(Member):
    """Talks all the time, until it breaks off."""

    def connected(self) -> None:
        """Begin."""
        self.send(b"talk")

    def heard(self, data: bytes) -> None:
        """Go on."""
        self.send(data)


#: What is told of any connection; the log itself sums up above a hundred of a kind a second.
_ORDINARY = re.compile(r"server: got connection|Got the message|closed by=|in one second:")


def extraordinary(log: str) -> int:
    """Count the lines of a log that are no connection's own."""
    return sum(1 for line in log.splitlines() if not _ORDINARY.search(line))


def busiest(log: str) -> int:
    """Count the lines of the second that has the most of them."""
    # 2026-01-02T03:04:05+0000 [
    return max(Counter(line[:24] for line in log.splitlines()).values(), default=0)


class ResetStorm(Case):
    """Connections in the middle of a talk are all reset at once."""

    number = 26
    title = "reset storm"
    connections = Amount(1000, 1000, 1000)
    #: The log's own bound: 100 of a kind and one that sums up the rest, three kinds.
    lines = 303

    def run(self) -> None:
        """Talk, reset, and read the log."""
        count = self.amount(self.connections)

        def load(lab: Lab) -> None:
            self._storm(lab, count)

        with self.serving(
            *PORT, "--behaviour", "echo", warm=lambda lab: self.steady(lab, load)
        ) as lab:
            # The second that the first storm was in is over.
            time.sleep(1.1)
            before = lab.log
            self._storm(lab, count)
            time.sleep(1.1)
            said = lab.log[len(before) :]
            alive = talk.echoed(lab.ports["echo"])
            self._throughForward(lab, count)
        self.tell(
            f"{count:,} connections in the middle of a talk reset at once",
            none("not served afterwards", not alive),
            atMost("lines in the log that are no connection's own", extraordinary(said), 10),
            atMost("lines of connections in a second", busiest(said), self.lines),
        )

    def _throughForward(self, echo: Lab, count: int) -> None:
        """Reset connections to an echo behind another lab, which must reset its own."""
        host, port = echo.ports["echo"]
        words = (*PORT, "--behaviour", f"forward,to=tcp:{host}:{port}")

        def load(lab: Lab) -> None:
            self._storm(lab, count)

        with self.serving(*words, warm=lambda lab: self.steady(lab, load)) as lab:
            time.sleep(1.1)
            before = echo.log
            self._storm(lab, count)
            time.sleep(1.1)
            ends = re.findall("closed by=.* how=(\\w+)", echo.log[len(before) :])
            alive = talk.echoed(lab.ports["forward"])
        self.tell(
            f"{count:,} connections through a forward reset at once ({len(ends)} are told)",
            none("of those told not reset behind it", sum(how != "reset" for how in ends)),
            none("not told of behind it", not ends),
            none("not served afterwards", not alive),
        )

    def _storm(self, lab: Lab, count: int) -> None:
        with Crowd() as crowd:
            members = crowd.addAll((Active() for _ in range(count)), next(iter(lab.ports.values())))
            crowd.during(0.3)
            for each in members:
                each.reset()
