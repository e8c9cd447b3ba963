"""Tests for `tcplab.client.console`."""

from __future__ import annotations

import os
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import TestCase

from tcplab.client.console import Console
from tcplab.client.display import Display, HexDump, Raw
from tests.client.pipes import Pipes


class Listener:
    """Keep what a console tells."""

    def __init__(self) -> None:
        self.transport = StringTransport()
        self.heard = b""
        self.inputEnd: Deferred[bytes] = Deferred()
        self.outputEnd: Deferred[None] = Deferred()

    def typed(self, data: bytes) -> None:
        self.heard += data

    def inputFinished(self) -> None:
        self.inputEnd.callback(self.heard)

    def outputLost(self) -> None:
        self.outputEnd.callback(None)


class ConsoleTests(TestCase):
    timeout = 30

    def console(self, display: Display | None = None, reading: bool = True) -> Console:
        """Open a console on pipes."""
        self.pipes = Pipes(self)
        self.listener = Listener()
        console = Console(reactor, display or Raw(), self.pipes.stdin, self.pipes.stdout)
        console.open(self.listener, reading=reading)
        self.addCleanup(console.close)
        return console

    async def printed(self, console: Console) -> bytes:
        """Close it, and return all that it printed."""
        output = self.pipes.printed()
        await console.close()
        self.pipes.close("stdout")
        return await output

    async def test_stdinIsToldAndItsEnd(self) -> None:
        self.console()
        await self.pipes.type(b"hello")
        self.assertEqual(await self.listener.inputEnd, b"hello")

    async def test_afterTheEndOfStdinStdoutStillPrints(self) -> None:
        console = self.console()
        self.pipes.close("keyboard")
        await self.listener.inputEnd
        console.show(b"the answer")
        self.assertEqual(await self.printed(console), b"the answer")

    async def test_closingWaitsUntilAllIsPrinted(self) -> None:
        console = self.console()
        console.show(b"x" * 1_000_000)
        self.assertEqual(len(await self.printed(console)), 1_000_000)

    async def test_whatTheDisplayHeldIsPrintedAtTheEnd(self) -> None:
        console = self.console(HexDump())
        console.show(b"hi")
        output = await self.printed(console)
        self.assertEqual(output.splitlines()[-1], b"00000002")

    async def test_aSlowReaderPausesTheServer(self) -> None:
        console = self.console()
        console.show(b"x" * 1_000_000)
        self.assertEqual(self.listener.transport.producerState, "paused")
        self.assertEqual(len(await self.printed(console)), 1_000_000)

    async def test_aSlowServerPausesStdin(self) -> None:
        console = self.console()
        self.assertIs(self.listener.transport.producer, console.transport)
        self.assertTrue(self.listener.transport.streaming)

    async def test_itCanLeaveStdinAlone(self) -> None:
        console = self.console(reading=False)
        await self.pipes.type(b"for somebody else")
        console.show(b"x")
        await self.printed(console)
        self.assertEqual(self.listener.heard, b"")
        self.assertEqual(os.read(self.pipes.stdin, 100), b"for somebody else")

    async def test_aReaderThatGoesAwayIsTold(self) -> None:
        console = self.console()
        self.pipes.close("screen")
        console.show(b"to nobody")
        await self.listener.outputEnd
        self.successResultOf(console.close())

    async def test_aConsoleThatWasNeverOpenIsClosed(self) -> None:
        console: Any = Console(reactor, Raw())
        self.successResultOf(console.close())
