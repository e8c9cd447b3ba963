"""Tests for ``examples/interactive.py``."""

from __future__ import annotations

from tests.support.subprocess_server import run
from tests.support.terminal_input import Typed


class InteractiveTests(Typed):
    def test_asItsDocstringSays(self) -> None:
        self.assertEqual(self.typed("interactive", b"hello\nworld\n"), ["hello\nworld\n"])

    def test_aLongFileComesBackWhole(self) -> None:
        said = "".join(f"{number}\n" for number in range(1_000_000))
        self.start("python echo.py")
        (self.folder / "file").write_text(said)
        shown = self.client("python interactive.py tcp:localhost:8888 < file", b"")
        self.assertTrue(shown == said, f"{len(shown)} of {len(said)} characters")

    def test_itEndsWhenTheServerDoes(self) -> None:
        self.start("python hello.py")
        # A pipe that somebody holds open for writing never ends.
        typed = "mkfifo typed; exec 3<>typed; echo hi >&3"
        shown = self.client(f"{typed}; python interactive.py tcp:localhost:8080 <typed", b"")
        self.assertEqual(shown, "Hello from server!")

    def test_whereNobodyListensItSaysSo(self) -> None:
        port = self.start("python echo.py").port
        self.client("tcplab connect localhost:8888 --send hi", b"")  # by now it heeds signals
        self.log()
        done = run(f"python interactive.py tcp:localhost:{port}", folder=self.folder)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"refused", done.stdout + done.stderr)
