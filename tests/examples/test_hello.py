"""Tests for ``examples/hello.py``."""

from __future__ import annotations

from tests.support.subprocess_server import run
from tests.support.terminal_input import Typed


class HelloTests(Typed):
    def test_asItsDocstringSays(self) -> None:
        self.assertEqual(self.typed("hello", b"Hello from client!"), ["Hello from server!"])
        self.log()

    def test_manyClientsOneAfterTheOther(self) -> None:
        self.start("python hello.py")
        for _ in range(3):
            said = self.client(
                "tcplab connect localhost --send hi --expect 'Hello from server!'", b""
            )
            self.assertIn("Hello from server!", said)

    def test_aPortInUseIsToldAndEndsIt(self) -> None:
        port = self.start("python hello.py").port
        done = run(f"python hello.py tcp:{port}:interface=127.0.0.1", folder=self.folder)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"Address already in use", done.stdout + done.stderr)
