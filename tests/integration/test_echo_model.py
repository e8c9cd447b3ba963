"""A model of echo: whatever a client does, what it reads is what it has said."""

from __future__ import annotations

import socket
import struct
import sys
from typing import ClassVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as runStateMachine
from twisted.trial.unittest import SynchronousTestCase

from tests.support.subprocess_server import Server, lab, scratch
from tests.support.tiers import processes

RESET = struct.pack("ii", 1, 0)  # SO_LINGER of 0 s: close() resets


class Client(RuleBasedStateMachine):
    """
    One connection at a time to an echo server: it says, reads, finishes, resets.

    It never waits for the server to read, so that it can also be the slower of the two.
    """

    port: ClassVar[int]
    sock: socket.socket | None = None
    said = heard = b""
    finished = False

    @precondition(lambda self: self.sock is None)
    @rule(buffer=st.sampled_from([None, 1, 4096]))
    def connect(self, buffer: int | None) -> None:
        """Begin, sometimes with a small receive buffer, so that the server soon has to wait."""
        self.sock = socket.socket()
        if buffer is not None:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.sock.settimeout(30)
        self.sock.connect(("127.0.0.1", self.port))
        self.said = self.heard = b""
        self.finished = False

    @precondition(lambda self: self.sock is not None and not self.finished)
    @rule(size=st.one_of(st.integers(1, 100), st.integers(60_000, 70_000), st.just(1_000_000)))
    def say(self, size: int) -> None:
        """Say as much as the kernel takes."""
        assert self.sock is not None
        start = len(self.said)
        data = b"".join(b"%07d\n" % each for each in range(start // 8, (start + size) // 8 + 1))
        data = data[start % 8 :][:size]
        self.sock.setblocking(False)
        try:
            self.said += data[: self.sock.send(data)]
        except BlockingIOError:
            pass
        finally:
            self.sock.settimeout(30)

    @precondition(lambda self: self.sock is not None and len(self.heard) < len(self.said))
    @rule(size=st.sampled_from([1, 1000, 100_000]))
    def read(self, size: int) -> None:
        """Read once; what was said must come back without an end to it."""
        assert self.sock is not None
        piece = self.sock.recv(size)
        assert piece, "the end came before the answer"
        self.heard += piece

    @precondition(lambda self: self.sock is not None and not self.finished)
    @rule()
    def finish(self) -> None:
        """Half-close."""
        assert self.sock is not None
        self.sock.shutdown(socket.SHUT_WR)
        self.finished = True

    @precondition(lambda self: self.finished)
    @rule()
    def drain(self) -> None:
        """Read to the end, and close; all must have come back."""
        assert self.sock is not None
        while piece := self.sock.recv(65536):
            self.heard += piece
        assert self.heard == self.said, f"{len(self.heard)} of {len(self.said)} bytes came back"
        self._close()

    @precondition(lambda self: self.sock is not None)
    @rule()
    def reset(self) -> None:
        """Break the connection."""
        assert self.sock is not None
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self._close()

    @invariant()
    def heardIsABeginningOfSaid(self) -> None:
        """Nothing else comes back, and nothing in another order."""
        assert self.said.startswith(self.heard)

    def teardown(self) -> None:
        """Finish whatever is open, and demand the rest."""
        if self.sock is not None:
            if not self.finished:
                self.finish()
            self.drain()

    def _close(self) -> None:
        assert self.sock is not None
        self.sock.close()
        self.sock = None
        self.finished = False
        self.said = self.heard = b""


@processes
class EchoModelTests(SynchronousTestCase):
    def test_whatIsReadIsWhatWasSaid(self) -> None:
        folder = scratch(self)
        server = lab(f"{sys.executable} -m twisted tcplab --behaviour echo", folder)
        self.addCleanup(server.stop)
        machine = type("EchoModel", (Client,), {"port": server.port})
        runStateMachine(
            machine,
            settings=settings(
                max_examples=50,
                stateful_step_count=20,
                deadline=None,
                derandomize=True,
                suppress_health_check=list(HealthCheck),
                # The kernel's timing does not repeat: to shrink a failure would take minutes.
                phases=[Phase.generate],
            ),
        )
        self._stillServes(server)

    def _stillServes(self, server: Server) -> None:
        with socket.create_connection(("127.0.0.1", server.port), 30) as sock:
            sock.sendall(b"still here")
            sock.shutdown(socket.SHUT_WR)
            self.assertEqual(sock.recv(100), b"still here")
        self.assertEqual(server.stop(), 0)
        self.assertNotIn("Traceback", server.output)
