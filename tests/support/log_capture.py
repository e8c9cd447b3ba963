"""What was logged during a test."""

from __future__ import annotations

from typing import Any

from twisted.logger import LogEvent, LogLevel, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase


class Logged(SynchronousTestCase):
    """Keep what tcplab logs while a test runs."""

    def setUp(self) -> None:
        super().setUp()
        self.events: list[LogEvent] = []
        globalLogPublisher.addObserver(self.events.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.events.append)

    def lines(self, level: Any = LogLevel.info) -> list[str]:
        """Return the lines of one level that tcplab has written under its own name."""
        return [
            formatEvent(event)
            for event in self.events
            if event.get("log_level") is level and event.get("log_system") == "tcplab"
        ]
