"""Tests for `tcplab.__main__` on a terminal, with a person at it."""

from __future__ import annotations

import os
import tempfile
from typing import Any

from tests.support.client_process import TCPLAB, Running
from tests.support.pseudo_terminal import Terminal
from tests.support.thread_servers import echo, hangingUp, saying, serve, silent


class TerminalTests(Running):
    """A person types."""

    prompt = b"What message for the server? : "

    def connect(self, where: str, *arguments: str, **settings: Any) -> Terminal:
        terminal = Terminal([*TCPLAB, "connect", where, *arguments], **settings)
        self.addCleanup(terminal.close)
        return terminal

    def test_itAsksAtOnceAndEveryLineIsAnswered(self) -> None:
        terminal = self.connect(serve(self, echo))
        terminal.wait(self.prompt)
        terminal.type(b"hello\n")
        terminal.wait(self.prompt + b"\r\x1b[Khello\r\n" + self.prompt)
        terminal.type(b"again\n")
        terminal.wait(b"\x1b[Kagain\r\n" + self.prompt)
        terminal.type(b"\x04")
        self.assertEqual(terminal.status(), 0)
        self.assertRegex(
            terminal.printed, rb"\? : \r\nOK 127\.0\.0\.1:\d+: sent 12 bytes, received 12\r\n\Z"
        )

    def test_aGreetingStandsAboveThePrompt(self) -> None:
        terminal = self.connect(serve(self, saying(b"You are connected!")))
        terminal.wait(b"You are connected!\r\n" + self.prompt)
        terminal.type(b"\x04")
        self.assertEqual(terminal.status(), 0)

    def test_whenTheServerFinishesItEnds(self) -> None:
        terminal = self.connect(serve(self, hangingUp(b"bye\n")))
        self.assertEqual(terminal.status(), 0)
        self.assertRegex(terminal.printed, rb"bye\r\n.*\r\nOK ")

    def test_theServerCannotCommandTheTerminal(self) -> None:
        terminal = self.connect(serve(self, hangingUp(b"\x1b[2J\x9b\xc3\xa9\n")))
        self.assertEqual(terminal.status(), 0)
        self.assertIn("\\x1b[2J\\x9bé".encode(), terminal.printed)

    def test_aTerminalThatCannotEraseGetsNoEscapes(self) -> None:
        terminal = self.connect(serve(self, hangingUp(b"bye\n")), term="dumb")
        self.assertEqual(terminal.status(), 0)
        self.assertNotIn(b"\x1b", terminal.printed)

    def test_controlCEndsItWithoutATraceback(self) -> None:
        terminal = self.connect(serve(self, silent))
        terminal.wait(self.prompt)
        terminal.type(b"\x03")
        self.assertEqual(terminal.status(), 130)
        self.assertNotIn(b"Traceback", terminal.printed)

    def test_whatIsPrintedNextBeginsALine(self) -> None:
        where = serve(self, hangingUp(b"no newline"))
        terminal = self.connect(where, "--send", "x")
        self.assertEqual(terminal.status(), 0)
        self.assertIn(b"no newline\r\nOK ", terminal.printed)

    def test_quietAsksNothing(self) -> None:
        terminal = self.connect(serve(self, echo), "--quiet")
        terminal.type(b"hello\n\x04")
        self.assertEqual(terminal.status(), 0)
        self.assertEqual(terminal.printed, b"hello\r\n")  # the terminal's own echo

    def test_aDumpIsShownAsItComes(self) -> None:
        terminal = self.connect(serve(self, echo), "--hex")
        terminal.wait(self.prompt)
        terminal.type(b"hi\n")
        terminal.wait(b"|hi.|")
        terminal.type(b"\x04")
        self.assertEqual(terminal.status(), 0)
        self.assertIn(b"\r\n00000003\r\n", terminal.printed)

    def test_theTerminalBlocksAgainAfterwards(self) -> None:
        terminal = self.connect(serve(self, echo))
        terminal.wait(self.prompt)
        terminal.type(b"\x04")
        terminal.status()
        self.assertFalse(terminal.flags & os.O_NONBLOCK)

    def test_whenOnlyStdinIsATerminalThePromptIsOnStderr(self) -> None:
        with tempfile.TemporaryFile() as file:
            terminal = self.connect(serve(self, echo), stdout=file)
            terminal.wait(self.prompt)
            terminal.type(b"hello\n")
            terminal.wait(b"hello\r\n" + self.prompt)
            terminal.type(b"\x04")
            self.assertEqual(terminal.status(), 0)
            file.seek(0)
            self.assertEqual(file.read(), b"hello\n")
