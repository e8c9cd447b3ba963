"""Tests for `tcplab.__main__` on a terminal, with a person at it."""

from __future__ import annotations

import os
import socket
import tempfile
from typing import Any

from tests.support.client_process import TCPLAB, Running
from tests.support.pseudo_terminal import Terminal
from tests.support.thread_servers import echo, hangingUp, saying, serve, silent

GREETED = b"What message for the server? : "


class TerminalTests(Running):
    """A person types."""

    def connect(self, where: str, *arguments: str, **settings: Any) -> Terminal:
        terminal = Terminal([*TCPLAB, "connect", where, *arguments], **settings)
        self.addCleanup(terminal.close)
        return terminal

    def assertDialogue(self, terminal: Terminal, *pairs: tuple[bytes, bytes]) -> None:
        """Wait for each text and type the next; ^D comes last, and the status is 0."""
        for shown, typed in (*pairs, (b"", b"\x04")):
            terminal.wait(shown)
            terminal.type(typed)
        self.assertEqual(terminal.status(), 0)
        self.assertFalse(terminal.flags & os.O_NONBLOCK)

    def test_everyLineIsAnswered(self) -> None:
        terminal = self.connect(serve(self, echo))
        self.assertDialogue(
            terminal,
            (b"> ", b"hello\n"),
            (b"\r\x1b[Jhello\r\n> ", b"again\n"),
            (b"\x1b[Jagain\r\n> ", b""),
        )
        self.assertRegex(
            terminal.printed, rb"> \r\nOK 127\.0\.0\.1:\d+: sent 12 bytes, received 12\r\n\Z"
        )

    def test_greetingStandsAboveThePrompt(self) -> None:
        terminal = self.connect(serve(self, saying(b"You are connected!")))
        self.assertDialogue(terminal, (b"You are connected!\r\n" + GREETED, b""))

    def test_dumpIsShownAsItComes(self) -> None:
        terminal = self.connect(serve(self, echo), "--hex")
        self.assertDialogue(terminal, (b"> ", b"hi\n"), (b"|hi.|", b""))
        self.assertIn(b"\r\n00000003\r\n", terminal.printed)

    def test_quiet(self) -> None:
        terminal = self.connect(serve(self, echo), "--quiet")
        self.assertDialogue(terminal, (b"", b"hello\n"))
        self.assertEqual(terminal.printed, b"hello\r\n")  # the terminal's own echo

    def test_onlyStdinIsATerminal(self) -> None:
        with tempfile.TemporaryFile() as file:
            terminal = self.connect(serve(self, echo), stdout=file)  # the prompt is on stderr
            self.assertDialogue(terminal, (b"> ", b"hello\n"), (b"hello\r\n> ", b""))
            file.seek(0)
            self.assertEqual(file.read(), b"hello\n")

    def test_serverFinishes(self) -> None:
        for words, options, term, pattern in (
            (b"bye\n", (), "xterm", rb"bye\r\n.*\r\nOK "),
            (b"bye\n", (), "dumb", rb"\A[^\x1b]*\Z"),
            (b"no newline", ("--send", "x"), "xterm", rb"no newline\r\nOK "),
            (b"\x1b[2J\x9b\xc3\xa9\n", (), "xterm", "\\\\x1b\\[2J\\\\x9bé".encode()),
        ):
            terminal = self.connect(serve(self, hangingUp(words)), *options, term=term)
            self.assertEqual(terminal.status(), 0)
            self.assertRegex(terminal.printed, pattern)

    def test_controlC(self) -> None:
        terminal = self.connect(serve(self, silent))
        terminal.wait(b"> ")
        terminal.type(b"\x03")
        self.assertEqual(terminal.status(), 130)
        self.assertTrue(terminal.printed.endswith(b"^C\r\n"), terminal.printed)

    def test_halfALine(self) -> None:
        """What is typed before output arrives stands below it, and is sent with the rest."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            terminal = self.connect(f"127.0.0.1:{server.getsockname()[1]}")
            peer = server.accept()[0]
            terminal.wait(b"> ")
            terminal.type(b"half")
            terminal.wait(b"> half")
            peer.sendall(b"new")
            terminal.wait(b"\r\x1b[Jnew\r\n" + GREETED + b"half")
            peer.sendall(b"s\n")
            terminal.wait(b"\x1b[J\x1b[1A\x1b[3Cs\r\n" + GREETED + b"half")
            terminal.type(b" a line\n")
            self.assertEqual(peer.makefile("rb").readline(), b"half a line\n")
            peer.close()
            self.assertEqual(terminal.status(), 0)
