"""Tests for `tcplab.workers.messages`."""

from __future__ import annotations

import os

from twisted.internet.main import CONNECTION_DONE
from twisted.internet.testing import MemoryReactor
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tcplab.workers.messages import CommandReader, WorkerConfig


class ConfigTests(SynchronousTestCase):
    config = WorkerConfig(
        {"port": "0", "serve": ["a@b"]}, (True, False), 3, "a.reactor", "/here", 1
    )

    def test_written(self) -> None:
        self.assertEqual(WorkerConfig.read(self.config.write()), self.config)

    def test_descriptors(self) -> None:
        """They are all different."""
        config = self.config
        others = [config.board, config.commands, config.reports]
        self.assertEqual([*config.placeholders, *config.sockets, *others], [3, 4, 5, 6, 7, 8])


class CommandTests(SynchronousTestCase):
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

    def test_lines(self) -> None:
        """A line is a word; there may be nothing to read."""
        self.addCleanup(os.close, self.writer)
        self.assertIsNone(self.commands.doRead())
        self.assertEqual(self.said(b"serve\nst"), ["serve"])
        self.assertEqual(self.said(b"op\n"), ["serve", "stop"])

    def test_orphaned(self) -> None:
        os.close(self.writer)
        self.assertIs(self.commands.doRead(), CONNECTION_DONE)
        self.commands.connectionLost(Failure(CONNECTION_DONE))
        self.assertEqual(self.words, ["orphaned"])
