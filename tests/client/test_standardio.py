"""Tests for `tcplab.client.standardio`."""

from __future__ import annotations

import os
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import TestCase

from tcplab.client.display import Display, HexDump, Raw
from tcplab.client.protocol import ClientProtocol
from tcplab.client.result import Outcome, Result
from tcplab.client.standardio import Console
from tests.support.pipes import Pipes

net: Any = reactor

MUCH = b"x" * 1_000_000


class Client(ClientProtocol):
    """Keep the input, and the ends."""

    def __init__(self) -> None:
        super().__init__(Clock())
        self.transport = StringTransport()
        self.input = b""
        self.inputEnd: Deferred[bytes] = Deferred()
        self.outputEnd: Deferred[Result] = Deferred()

    def inputReceived(self, data: bytes) -> None:
        self.input += data

    def inputEnded(self) -> None:
        self.inputEnd.callback(self.input)

    def outputLost(self, result: Result) -> None:
        self.outputEnd.callback(result)


class ConsoleTests(TestCase):
    timeout = 30

    def console(self, display: Display | None = None, reading: bool = True) -> Console:
        """Open a console on pipes."""
        self.pipes = Pipes(self)
        self.client = Client()
        console = Console(net, display or Raw(), self.pipes.stdin, self.pipes.stdout)
        console.open(self.client, reading=reading)
        self.addCleanup(console.close)
        return console

    async def printed(self, console: Console) -> bytes:
        """Close the console; return all that it printed."""
        output = self.pipes.printed()
        await console.close()
        self.pipes.close("stdout")
        return await output

    async def test_input(self) -> None:
        """Input and its end are passed on; output goes on after it."""
        console = self.console()
        await self.pipes.type(b"hello")
        self.assertEqual(await self.client.inputEnd, b"hello")
        console.show(b"the answer")
        self.assertEqual(await self.printed(console), b"the answer")

    async def test_inputNotRead(self) -> None:
        """It is left for another program."""
        console = self.console(reading=False)
        await self.pipes.type(b"for another")
        console.pauseProducing()
        console.resumeProducing()
        console.show(b"x")
        await self.printed(console)
        self.assertEqual(self.client.input, b"")
        self.assertEqual(os.read(self.pipes.stdin, 100), b"for another")

    async def test_backPressure(self) -> None:
        """A full stdout pauses the connection, a full connection stdin; then all is printed."""
        console = self.console()
        transport = self.client.transport
        self.assertEqual((transport.producer, transport.streaming), (console, True))
        console.pauseProducing()
        typed = self.pipes.type(b"hello")
        console.show(MUCH)
        self.assertEqual(transport.producerState, "paused")
        self.assertEqual(self.client.input, b"")
        console.resumeProducing()
        await typed
        await self.client.inputEnd
        self.assertEqual(len(await self.printed(console)), len(MUCH))

    async def test_heldBack(self) -> None:
        """What the display has held back is printed at the end."""
        console = self.console(HexDump())
        console.show(b"hi")
        output = await self.printed(console)
        self.assertEqual(output.splitlines()[-1], b"00000002")

    async def test_closedPipe(self) -> None:
        """It is reported once, at once; the connection is not closed gracefully."""
        for data in b"x", MUCH:
            console = self.console()
            console.show(data)
            self.pipes.close("screen")
            self.assertEqual(await self.client.outputEnd, Result(Outcome.UNREAD))
            self.assertEqual(await console.close(), Result(Outcome.UNREAD))
            self.assertFalse(self.client.transport.disconnecting)

    async def test_closedPipeAtTheEnd(self) -> None:
        """It is a loss only if not all was taken."""
        console = self.console()
        console.show(b"x" * 1000)
        self.assertIsNone(await console.close())
        console = self.console()
        console.show(MUCH)
        closed = console.close()
        self.pipes.close("screen")
        self.assertEqual(await closed, Result(Outcome.UNREAD))

    async def test_fullDevice(self) -> None:
        """It is an error with the system's words; nothing printed is no error."""
        full = Result(Outcome.OTHER, "stdout accepts no more: No space left on device")
        for data, result in (b"x", full), (b"", None):
            device = os.open("/dev/full", os.O_WRONLY)
            self.addCleanup(os.close, device)
            console = Console(net, Raw(), stdout=device)
            console.open(Client(), reading=False)
            console.show(data)
            self.assertEqual(await console.close(), result)

    def test_neverOpen(self) -> None:
        self.assertIsNone(self.successResultOf(Console(net, Raw()).close()))
