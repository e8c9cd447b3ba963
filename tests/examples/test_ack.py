"""Tests for ``examples/ack.py``."""

from __future__ import annotations

from tests.support.terminal_input import Typed


class AckTests(Typed):
    def test_asItsDocstringSays(self) -> None:
        self.assertEqual(self.typed("ack", b"hi"), ["You are connected!"])
        log = self.log()
        self.assertRegex(
            log, r"\[Ack,1,127\.0\.0\.1\] server: got connection from = 127\.0\.0\.1 and"
        )
        self.assertIn("[Ack,1,127.0.0.1] Got the message:hi\n", log)
        self.assertRegex(log, r"\[Ack,1,127\.0\.0\.1\] closed by=\w+ how=fin received=2 sent=18 ")
