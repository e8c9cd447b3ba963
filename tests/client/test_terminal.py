"""Tests for `tcplab.client.terminal`."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tcplab.client.display import ForTerminal
from tcplab.client.result import Outcome
from tcplab.client.terminal import PROMPT, Prompt, PromptedDisplay, TerminalClient
from tcplab.testing import connected
from tests.support.memory_console import MemoryConsole, outcome


class PromptTests(SynchronousTestCase):
    def test_insert(self) -> None:
        """Output replaces a prompt, which follows on a line of its own."""
        for erases, output, printed in (
            (True, b"hello\n", b"\r\x1b[Khello\n" + PROMPT),
            (True, b"hello", b"\r\x1b[Khello\n" + PROMPT),
            (False, b"hello\n", b"\nhello\n" + PROMPT),
            (True, b"", b""),
        ):
            prompt = Prompt(erases)
            self.assertEqual(prompt.insert(b"before"), b"before")
            self.assertEqual(prompt.show(), b"What message for the server? : ")
            self.assertEqual(prompt.insert(output), printed)
            self.assertEqual((prompt.leave(), prompt.leave()), (b"\n", b""))
            self.assertEqual(prompt.insert(b"after"), b"after")

    def test_display(self) -> None:
        """The display below decides what is printed."""
        prompt = Prompt()
        prompt.show()
        display = PromptedDisplay(ForTerminal(), prompt)
        self.assertEqual(display.feed(b"\x07\r"), b"\r\x1b[K\\x07\n" + PROMPT)
        self.assertEqual(display.finish(), b"\r\x1b[K\\r\n" + PROMPT)


class TerminalClientTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.printed: list[bytes] = []
        self.client = TerminalClient(Clock(), MemoryConsole(), 5.0, Prompt(), self.printed.append)
        self.peer = connected(self.client)

    def test_lines(self) -> None:
        """A prompt at once, and after each whole line; ^D half-closes below the prompt."""
        self.assertEqual(self.printed, [PROMPT])
        self.client.inputReceived(b"h")
        self.assertEqual((self.peer.value(), self.printed), (b"h", [PROMPT]))
        self.client.inputReceived(b"i\n")
        self.assertEqual((self.peer.value(), self.printed), (b"hi\n", [PROMPT] * 2))
        self.client.inputEnded()
        self.assertEqual(self.printed, [PROMPT, PROMPT, b"\n"])
        self.assertTrue(self.peer.ended)
        self.peer.finish()
        self.assertIs(outcome(self.client), Outcome.OK)

    def test_serverCloses(self) -> None:
        """The session ends: the user is not kept typing."""
        self.peer.finish()
        self.assertTrue(self.peer.ended)
        self.assertIs(outcome(self.client), Outcome.OK)
