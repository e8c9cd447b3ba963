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
from tcplab.client.result import Outcome, Result
from tests.support.pipes import Pipes


class Listener:
    """Keep what a console tells."""

    def __init__(self) -> None:
        self.transport = StringTransport()
        self.heard = b""
        self.inputEnd: Deferred[bytes] = Deferred()
        self.outputEnd: Deferred[Result] = Deferred()

    def inputReceived(self, data: bytes) -> None:
        self.heard += data

    def inputEnded(self) -> None:
        self.inputEnd.callback(self.heard)

    def outputLost(self, ending: Result) -> None:
        self.outputEnd.callback(ending)


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
        self.assertIs(self.listener.transport.producer, console)
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
        self.assertEqual(await self.listener.outputEnd, Result(Outcome.UNREAD))
        self.assertEqual(await console.close(), Result(Outcome.UNREAD))

    async def test_theServerIsNotLeftPolitelyWhenTheReaderGoesAway(self) -> None:
        console = self.console()
        console.show(b"x" * 1_000_000)
        self.pipes.close("screen")
        await self.listener.outputEnd
        self.assertFalse(self.listener.transport.disconnecting)

    async def test_aReaderThatGoesAwayAtTheEndIsTold(self) -> None:
        console = self.console()
        console.show(b"x" * 1_000_000)
        closed = console.close()
        self.pipes.close("screen")
        self.assertEqual(await closed, Result(Outcome.UNREAD))

    async def test_allThatWasTakenIsNoLoss(self) -> None:
        console = self.console()
        console.show(b"x" * 1000)
        self.assertIsNone(await console.close())

    async def test_aFullDeviceIsToldAtTheEnd(self) -> None:
        console = self.full()
        console.show(b"x")
        ending = await console.close()
        self.assertEqual(
            ending, Result(Outcome.OTHER, "stdout takes no more: No space left on device")
        )

    async def test_aFullDeviceRefusesNothingIfNothingIsPrinted(self) -> None:
        self.assertIsNone(await self.full().close())

    def full(self) -> Console:
        """Open a console whose stdout takes nothing."""
        device = os.open("/dev/full", os.O_WRONLY)
        self.addCleanup(os.close, device)
        console = Console(reactor, Raw(), stdout=device)
        console.open(Listener(), reading=False)
        return console

    async def test_aConsoleThatWasNeverOpenIsClosed(self) -> None:
        console: Any = Console(reactor, Raw())
        self.successResultOf(console.close())
