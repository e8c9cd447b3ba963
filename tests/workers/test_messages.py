"""Tests for `tcplab.workers.messages`."""

from __future__ import annotations

import os

from twisted.internet.main import CONNECTION_DONE
from twisted.internet.testing import MemoryReactor
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tcplab.workers.messages import CommandReader, WorkerConfig


class Writing(SynchronousTestCase):
    config = WorkerConfig(
        {"port": "0", "serve": ["a@b"]}, (True, False), 3, "a.reactor", "/here", 1
    )

    def test_what_is_written_is_read(self) -> None:
        self.assertEqual(WorkerConfig.read(self.config.write()), self.config)

    def test_descriptors_are_all_different(self) -> None:
        config = self.config
        found = [
            *config.placeholders,
            *config.sockets,
            config.board,
            config.commands,
            config.reports,
        ]
        self.assertEqual(found, [3, 4, 5, 6, 7, 8])


class Reading(SynchronousTestCase):
    def setUp(self) -> None:
        reader, self.writer = os.pipe()
        self.addCleanup(os.close, reader)
        self.words: list[str] = []
        reactor = MemoryReactor()
        self.commands = CommandReader(
            reader, reactor, self.words.append, lambda: self.words.append("orphaned")
        )

    def said(self, data: bytes) -> list[str]:
        os.write(self.writer, data)
        self.assertIsNone(self.commands.doRead())
        return self.words

    def test_a_line_is_a_word(self) -> None:
        self.addCleanup(os.close, self.writer)
        self.assertEqual(self.said(b"serve\nst"), ["serve"])
        self.assertEqual(self.said(b"op\n"), ["serve", "stop"])

    def test_nothing_to_read(self) -> None:
        self.addCleanup(os.close, self.writer)
        self.assertIsNone(self.commands.doRead())

    def test_nobody_tells_us_any_more(self) -> None:
        os.close(self.writer)
        self.assertIs(self.commands.doRead(), CONNECTION_DONE)
        self.commands.connectionLost(Failure(CONNECTION_DONE))
        self.assertEqual(self.words, ["orphaned"])
