"""The wall clock goes back an hour while timers run: nothing waits for longer."""

from __future__ import annotations

import os
import re
import signal
import socket
from unittest import TestCase

from tests.support.subprocess_server import ROOT, Server, lab, scratch
from tests.support.tiers import processes, slow

#: Seconds; a timer that follows the wall clock is due in an hour.
PATIENCE = 20.0


@processes
class ClockTests(TestCase):
    def setUp(self) -> None:
        self.folder = scratch(self)
        self.step = self.folder / "step"
        paths = f"{ROOT / 'tests/support/clock_steps'}:{ROOT}"
        self.stepping = f"env PYTHONPATH={paths} CLOCK_STEP={self.step}"

    def lab(self, options: str) -> Server:
        server = lab(f"{self.stepping} twistd -n tcplab {options}", self.folder)
        self.addCleanup(server.kill)
        return server

    def connect(self, server: Server) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", server.port), PATIENCE)
        self.addCleanup(sock.close)
        return sock

    def test_lab(self) -> None:
        """A fault's delay and a deadline that began before the step; the drain after it."""
        server = self.lab("-b echo --fault latency,latency=1s --idle-timeout 2 --drain-timeout 1")
        sock = self.connect(server)
        sock.sendall(b"hi")
        self.step.touch()
        self.assertEqual(sock.recv(9), b"hi")
        self.assertRaises(ConnectionResetError, sock.recv, 9)
        waiting = self.connect(server)
        waiting.sendall(b"hi")
        self.assertEqual(waiting.recv(9), b"hi")
        server.process.send_signal(signal.SIGTERM)
        self.assertEqual(server.process.wait(PATIENCE), 1)
        self.assertRegex(server.output, r"seconds=1\.\d")

    def test_client(self) -> None:
        """``--timeout`` begins before the step."""
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
            command = f"{self.stepping} tcplab connect 127.0.0.1:{port} --expect x --timeout 2"
            server = Server(f"{command} 2>&1", self.folder, lambda _: str(port))
            self.addCleanup(server.kill)
            silent.settimeout(PATIENCE)
            with silent.accept()[0]:
                self.step.touch()
                self.assertEqual(server.process.wait(PATIENCE), 8, server.output)

    @slow
    def test_workers(self) -> None:
        """One that is stopped is replaced."""
        server = self.lab("--workers 1")
        found = re.search(r"worker 1 \(pid (\d+)\) serves", server.output)
        assert found is not None
        self.step.touch()
        os.kill(int(found[1]), signal.SIGSTOP)
        server.awaited(lambda: "another takes its place" in server.output)
