"""Anything a client may send to any port, in the clear and over TLS: the server serves on."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from OpenSSL import SSL
from twisted.trial.unittest import SynchronousTestCase

from soak import secure
from soak.fuzz import BEHAVING, SEEDS
from soak.lab import Lab, Start, State, settled
from soak.talk import Address, connected, echoed
from tcplab.wire.names import FRAMINGS
from tests.support.certificates import localhostFile
from tests.support.framing_strategies import pieces
from tests.support.subprocess_server import scratch
from tests.support.thread_servers import RESET
from tests.support.tiers import processes

FRAMED = [f"{kind},framing={name}" for kind in ("echo", "lab", "ack") for name in FRAMINGS]

#: Enough for whatever is sent at the end; chargen goes on until its peer finishes.
ENOUGH = 4_000_000


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Make something like a real message, cut off, and with some bytes changed."""
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(0, 3))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.integers(1, len(data)))])


anything = st.one_of(
    mutated(),
    st.binary(max_size=300),
    st.binary(min_size=1, max_size=70).map(lambda data: data * 1000),
)
cuts = st.lists(st.integers(1, 70_000), max_size=4)
ways = st.sampled_from(["finish", "finish", "close", "reset"])


def say(address: Address, data: Sequence[bytes], way: str) -> bool:
    """
    Send it, and end; tell whether the server ends too once the client has finished.

    :raises TimeoutError: it does not.
    """
    with connected(address) as sock:
        try:
            for each in data:
                sock.sendall(each)
            if way == "finish":
                sock.shutdown(socket.SHUT_WR)
                heard = 0
                while heard < ENOUGH and (piece := sock.recv(65536)):
                    heard += len(piece)
                return heard < ENOUGH
        except TimeoutError:
            raise
        except OSError:
            return True  # it was closed in the middle
        if way == "reset":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    return True


@processes
class FuzzTests(SynchronousTestCase):
    """Each with a server of its own, that serves echo too: the canary."""

    def fuzz(
        self,
        specs: Sequence[str],
        examples: int,
        say: Callable[[Address, Any], None],
        what: st.SearchStrategy[Any],
        tls: bool = False,
    ) -> None:
        """Send anything to any of its ports but the canary's; nothing may be left behind."""
        folder, endpoint = scratch(self), "tcp:0:interface=127.0.0.1"
        if tls:
            pem = localhostFile(str(folder))
            endpoint = f"ssl:0:privateKey={pem}:certKey={pem}:interface=127.0.0.1"
        words = ["--port", "0", "--behaviour", "echo"]
        for each in specs:
            words += ["--serve", f"{each}@{endpoint}"]
        lab = Lab(Start(tuple(words)), folder)
        self.addCleanup(lab.kill)
        canary, *places = lab.ports.values()

        @settings(
            max_examples=examples,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],  # the kernel's timing does not repeat
        )
        @given(st.sampled_from(places), what)
        def fuzzed(place: Address, what: Any) -> None:
            say(place, what)
            assert echoed(canary), "the canary is silent"

        self.assertTrue(echoed(canary))
        before = State.of(lab)
        fuzzed()
        after = settled(lab, before, 20.0)
        self.assertEqual(
            (after.descriptors, after.connections), (before.descriptors, before.connections)
        )
        self.assertEqual(lab.stop(), 0)
        self.assertEqual(lab.accidents, [])

    def plainly(self, place: Address, what: tuple[bytes, list[int], str]) -> None:
        data, sizes, way = what
        assert say(place, [each for each in pieces(data, sizes) if each], way), "it does not end"

    def test_inTheClear(self) -> None:
        what = st.tuples(anything, cuts, ways)
        self.fuzz([*BEHAVING, *FRAMED], 800, self.plainly, what)

    def test_insteadOfAHandshake(self) -> None:
        what = st.tuples(anything, cuts, ways)
        self.fuzz(["echo", "lab", "greeting"], 200, self.plainly, what, tls=True)

    def test_behindAHandshake(self) -> None:
        context = secure.trusting()

        def secured(place: Address, what: tuple[bytes, bool]) -> None:
            data, raw = what
            with secure.secured(context, place) as tls:
                try:
                    if raw:  # through the connection, past its cipher
                        os.write(tls.fileno(), data or b"?")
                    secure.exchange(tls, data)
                except (OSError, SSL.Error):
                    pass  # it was closed in the middle

        # What a blocking client can send before it reads: buffers hold it.
        what = st.tuples(st.one_of(mutated(), st.binary(max_size=20_000)), st.booleans())
        self.fuzz(["echo", *FRAMED], 100, secured, what, tls=True)
