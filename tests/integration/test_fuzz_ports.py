"""Any bytes to any port: the server ends that conversation, and serves the next one."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from OpenSSL import SSL
from twisted.trial.unittest import SynchronousTestCase

from soak import secure
from soak.crowd import RESET
from soak.fuzz import BEHAVING, SEEDS
from soak.lab import Lab, Start, State, settled
from soak.talk import Address, connected, echoed
from tcplab.wire.names import FRAMINGS
from tests.support.certificates import localhostFile
from tests.support.tiers import processes

FRAMED = [f"{kind},framing={name}" for kind in ("echo", "lab", "ack") for name in FRAMINGS]

#: Enough for whatever is said at the end; chargen goes on until its peer finishes.
ENOUGH = 4_000_000


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Make something that somebody may have meant, cut off, and with some bytes changed."""
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(0, 3))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.integers(1, len(data)))])


anything = st.one_of(
    mutated(),
    st.binary(max_size=300),
    st.builds(lambda data, times: data * times, st.binary(min_size=1, max_size=70), st.just(1000)),
)
cuts = st.lists(st.integers(1, 70_000), max_size=4)
ways = st.sampled_from(["finish", "finish", "close", "reset"])


def pieces(data: bytes, sizes: Sequence[int]) -> list[bytes]:
    """Cut it into pieces of these sizes, and a rest."""
    found = []
    for size in sizes:
        found.append(data[:size])
        data = data[size:]
    return [each for each in (*found, data) if each]


def say(address: Address, data: Sequence[bytes], way: str) -> bool:
    """
    Say it, and go; tell whether the server, told of our end, has come to its own.

    :raises TimeoutError: it has not.
    """
    with connected(address) as sock:
        try:
            for each in data:
                sock.sendall(each)
            if way == "finish":
                sock.shutdown(socket.SHUT_WR)
                return ends(sock)
        except TimeoutError:
            raise
        except OSError:
            return True  # it did not want to hear all of it
        if way == "reset":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    return True


def ends(sock: socket.socket) -> bool:
    """Read to the end; tell whether there is one."""
    heard = 0
    while heard < ENOUGH and (piece := sock.recv(65536)):
        heard += len(piece)
    return heard < ENOUGH


@processes
class FuzzTests(SynchronousTestCase):
    """Each with a server of its own, that serves echo too: the canary."""

    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="tcplab"))
        self.addCleanup(shutil.rmtree, self.folder)

    def serve(self, specs: Sequence[str], endpoint: str = "tcp:0:interface=127.0.0.1") -> Lab:
        words = ["--port", "0", "--behaviour", "echo"]
        for each in specs:
            words += ["--serve", f"{each}@{endpoint}"]
        lab = Lab(Start(tuple(words)), self.folder)
        self.addCleanup(lab.kill)
        return lab

    def serveTLS(self, specs: Sequence[str]) -> Lab:
        pem = localhostFile(str(self.folder))
        return self.serve(specs, f"ssl:0:privateKey={pem}:certKey={pem}:interface=127.0.0.1")

    def fuzz(self, lab: Lab, examples: int) -> None:
        """Say anything to any of its ports but the canary's, and ask that."""
        places = st.sampled_from(list(lab.ports.values())[1:])

        @settings(
            max_examples=examples,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],  # the kernel's timing does not repeat
        )
        @given(places, anything, cuts, ways)
        def fuzzed(place: Address, data: bytes, sizes: Sequence[int], way: str) -> None:
            assert say(place, pieces(data, sizes), way), "the server does not come to an end"
            assert echoed(lab.ports["echo"]), "the canary is silent"

        self.see(lab, fuzzed)

    def see(self, lab: Lab, fuzzed: Callable[[], None]) -> None:
        """Do it, and see that nothing is left behind, nor told of an accident."""
        self.assertTrue(echoed(lab.ports["echo"]))
        before = State.of(lab)
        fuzzed()
        after = settled(lab, before, 20.0)
        self.assertEqual(
            (after.descriptors, after.connections), (before.descriptors, before.connections)
        )
        self.assertEqual(lab.stop(), 0)
        self.assertEqual(lab.accidents, [])

    def test_everyBehaviour(self) -> None:
        self.fuzz(self.serve(BEHAVING), 400)

    def test_everyFraming(self) -> None:
        self.fuzz(self.serve(FRAMED), 400)

    def test_insteadOfAHandshake(self) -> None:
        self.fuzz(self.serveTLS(["echo", "lab", "greeting"]), 200)

    def test_behindAHandshake(self) -> None:
        lab = self.serveTLS(["echo", *FRAMED])
        context = secure.trusting()
        places = st.sampled_from(list(lab.ports.values())[1:])

        @settings(
            max_examples=100,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],
        )
        # What a blocking client can say before it reads: buffers hold it.
        @given(places, st.one_of(mutated(), st.binary(max_size=20_000)), st.booleans())
        def fuzzed(place: Address, data: bytes, raw: bool) -> None:
            with secure.secured(context, place) as tls:
                try:
                    if raw:
                        # Through the connection, past its cipher.
                        os.write(tls.fileno(), data or b"?")
                    secure.exchange(tls, data)
                except (OSError, SSL.Error):
                    pass  # it did not want to hear all of it
            assert echoed(lab.ports["echo"]), "the canary is silent"

        self.see(lab, fuzzed)
