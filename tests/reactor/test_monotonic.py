"""Tests for `tcplab.reactor.monotonic`."""

from __future__ import annotations

import time

from twisted.internet.base import ReactorBase
from twisted.trial.unittest import SynchronousTestCase

from tcplab.reactor import monotonic
from tcplab.reactor.eager import EagerReactor
from tcplab.reactor.monotonic import PollReactor


class TimeTests(SynchronousTestCase):
    def test_step(self) -> None:
        """It counts from the epoch, and a step of the wall clock changes nothing."""
        kinds: tuple[type[ReactorBase], ...] = (PollReactor, EagerReactor)
        now = time.time()
        self.patch(time, "time", lambda: 0.0)
        for kind in kinds:
            before = kind.seconds()
            self.assertLess(abs(before - now), 60)
            self.assertGreaterEqual(kind.seconds(), before)

    def test_install(self) -> None:
        installed: list[object] = []
        self.patch(monotonic, "installReactor", installed.append)
        monotonic.install()
        self.assertIsInstance(installed[0], PollReactor)
