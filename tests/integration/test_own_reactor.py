"""A lab on a reactor of its own never asks for the global one; nor does anything that it serves."""

from __future__ import annotations

from unittest import TestCase

from tests.support.certificates import servesTLS
from tests.support.subprocess_server import run
from tests.support.tiers import processes


@servesTLS
@processes
class OwnReactorTests(TestCase):
    """Every behaviour and every fault, over TCP and TLS, and every way to call a server."""

    def assertServed(self, kind: str) -> None:
        ended = run(f"python -m tests.support.own_reactor {kind}")
        self.assertEqual((ended.returncode, ended.stderr.strip()), (0, b""))

    def test_eager(self) -> None:
        self.assertServed("EagerReactor")

    def test_epoll(self) -> None:
        """Twisted's own."""
        self.assertServed("EPollReactor")
