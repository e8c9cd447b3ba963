"""Case 35: PROXY headers, good and bad, against a second reader; and some from no proxy."""

from __future__ import annotations

import ipaddress
import random
import re
import time
from typing import Any

from soak import talk
from soak.case import PORT, Case
from soak.crowd import Crowd, Member
from soak.figures import Figure, none
from soak.lab import Lab
from soak.scale import Amount
from tests.support.proxyfuzz import case, header
from tests.support.proxyreference import verdict

#: Networks of 200 addresses each: of proxies that are believed, and of others.
_PROXIES, _STRANGERS = "127.1.0", "127.2.0"


class Announcing(Member):
    """Says a header in some pieces, and what the server answers; then it has no more to say."""

    __slots__ = ("_dice", "_left", "data", "early", "said")

    def __init__(self, seed: int, header: bytes) -> None:
        super().__init__()
        self._dice = random.Random(seed)
        self.data = self._left = header
        self.early = False
        self.said = b""

    def connected(self) -> None:
        """Begin."""
        self.watch(writing=True)

    def mayWrite(self) -> None:
        """Say the next piece, and with the last one finish."""
        # Mostly all at once, as a proxy does it; but any cut must do.
        size = len(self._left) if self._dice.random() < 0.5 else self._dice.randint(1, 40)
        self._left = self._left[self.send(self._left[:size]) :]
        if not (self._left or self.over):
            self.watch()
            self.finish()

    def heard(self, data: bytes) -> None:
        """Nothing may be said before the header is whole."""
        self.said += data
        sent = self.data[: len(self.data) - len(self._left)]
        self.early = self.early or verdict(sent)[0] != "ok"

    @property
    def wrong(self) -> bool:
        """Whether the answer, its absence or the address in it is not as it should be."""
        told = verdict(self.data)
        if told[0] != "ok":
            return bool(self.said)
        return _expected(told[2]) not in self.said


def _expected(told: tuple[Any, ...]) -> bytes:
    _, command, family, source, *_ = told
    if command != "PROXY" or family not in ("TCP4", "TCP6"):
        return b" peer="
    host, port = ipaddress.ip_address(source[0]), source[1]
    host = getattr(host, "ipv4_mapped", None) or host
    place = f"[{host}]" if host.version == 6 else host
    return f" peer={place}:{port} ".encode()


class Headers(Case):
    """Each is read as the specification says, and believed of proxies only."""

    number = 35
    title = "PROXY headers"
    headers = Amount(2000, 100_000, 100_000)
    spoofs = Amount(200, 2000, 10_000)
    window = 40

    def run(self) -> None:
        """From proxies any, from others good ones."""
        words = (*PORT, "--behaviour", "whoami", "--proxy-protocol", "any")
        words += ("--proxy-from", f"{_PROXIES}.0/24", "--drain-timeout", "1")
        headers, spoofs = self.amount(self.headers), self.amount(self.spoofs)
        with self.serving(*words, warm=lambda lab: self._figures(lab, 2000, 10**9)) as lab:
            self.tell(
                f"{headers:,} PROXY headers, good, spoilt and cut, in any pieces",
                *self._figures(lab, headers, 0),
            )
            time.sleep(0.2)  # until the last of those has its line
            before = len(lab.log)
            believed = [each for each in self._said(lab, spoofs, 0, _STRANGERS) if each.said]
            time.sleep(1.5)  # of refusals there is a line a second
            log = lab.log[before:]
            lies = [each for each in re.findall(r"last=(\S+):\d+: ", log) if _STRANGERS not in each]
            self.tell(
                f"{spoofs:,} good ones of clients that are no proxy",
                none("believed", len(believed) + log.count("got connection")),
                none("refusals in the log without the real address", len(lies)),
                none("told of by no line", not re.search("refused=[0-9]+ why=header", log)),
            )

    def _figures(self, lab: Lab, count: int, seed: int) -> list[Figure]:
        members = self._said(lab, count, seed, _PROXIES)
        wrong = [each for each in members if each.wrong]
        example = f", as {wrong[0].data!r}" if wrong else ""
        return [
            none(f"wrong verdicts{example}", len(wrong)),
            none("answered before the header was whole", sum(each.early for each in members)),
        ]

    def _said(self, lab: Lab, count: int, seed: int, network: str) -> list[Announcing]:
        begun, found = 0, []
        make = case if network == _PROXIES else header
        with Crowd() as crowd:
            last = time.monotonic()
            while begun < count or crowd.members:
                while begun < count and len(crowd.members) < self.window:
                    number = seed + begun
                    member = Announcing(number, make(random.Random(number)))
                    found.append(member)
                    crowd.add(member, lab.ports["whoami"], f"{network}.{1 + number % 200}")
                    begun += 1
                    last = time.monotonic()
                crowd.turn(0.05)
                if time.monotonic() - last > talk.PATIENCE:
                    break  # none of them may wait: each has finished
        return found
