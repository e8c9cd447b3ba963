"""Tests for `tcplab.client.terminal`."""

from __future__ import annotations

import os
import pty
import re
import termios

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tcplab.client.display import ForTerminal
from tcplab.client.result import Outcome
from tcplab.client.terminal import (
    PROMPT,
    Prompt,
    PromptedDisplay,
    TerminalClient,
    TerminalLine,
    columnAfter,
)
from tcplab.testing import connected
from tests.support.memory_console import MemoryConsole, outcome


class Line:
    """What a user is typing, as a test says."""

    def __init__(self) -> None:
        self.typed = b""
        self.isEntered = False

    def entered(self) -> bool:
        return self.isEntered

    def take(self) -> bytes:
        return self.typed

    def complete(self, data: bytes) -> bytes:
        typed, self.typed = self.typed, b""
        return typed + data


def screen(printed: bytes, columns: int = 20) -> list[str]:
    """Return the rows of a terminal on which this was printed."""
    rows, row, column = [""], 0, 0
    for found in re.finditer(rb"\x1b\[(\d*)([A-Z])|\r|\n|.", printed.replace(b"\n", b"\r\n")):
        count = int(found[1] or 1)
        if found[2] == b"A":
            row -= count
        elif found[2] == b"C":
            column += count
        elif found[2] == b"J":
            rows[row:] = [rows[row][:column]]
        elif found[0] == b"\r":
            column = 0
        else:
            if found[0] == b"\n" or column == columns:
                row, column = row + 1, 0
                rows += [""] * (row + 1 - len(rows))
            if found[0] != b"\n":
                rows[row] = rows[row][:column] + found[0].decode() + rows[row][column + 1 :]
                column += 1
    return rows


class PromptTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.line = Line()
        self.prompt = Prompt(self.line, columns=lambda: 20)

    def rows(self, *pieces: bytes) -> list[str]:
        """Return the screen after the first prompt and some pieces of output."""
        return screen(b"".join([self.prompt.show(), *map(self.prompt.insert, pieces)]))

    def test_greeting(self) -> None:
        """Output before the first line is a greeting, and changes the prompt."""
        self.assertEqual(self.prompt.insert(b"before"), b"before")
        self.assertEqual(self.rows(b""), ["> "])
        self.assertEqual(self.rows(b"hello\n"), ["hello", "> "])
        prompt = Prompt(self.line, columns=lambda: 80)
        printed = prompt.show() + prompt.insert(b"hello")
        self.assertEqual(screen(printed, 80), ["hello", PROMPT.decode()])
        self.assertEqual((prompt.leave(), prompt.leave()), (b"\n", b""))

    def test_pieces(self) -> None:
        """A line that arrives in pieces is one line, also where it fills rows."""
        self.prompt.show()
        for pieces, rows in (
            ((b"Hell", b"o, w", b"orld", b"\nnext"), ["Hello, world", "next", "> "]),
            ((b"x" * 20, b"y" * 5, b"z"), ["x" * 20, "yyyyyz", "> "]),
            ((b"one\ntw", b"o\n", b"three"), ["one", "two", "three", "> "]),
            ((b"a\tb", b"c"), ["a       bc", "> "]),
        ):
            self.assertEqual([row.replace("\t", " " * 7) for row in self.rows(*pieces)], rows)

    def test_typed(self) -> None:
        """What is typed stands behind the prompt again, and wraps."""
        self.prompt.show()
        for typed, echoed in ((b"half", b"half"), (b"x" * 30, b"x" * 30), (b"\x01", b"^A")):
            self.line.typed = b""
            printed = self.prompt.show() + self.prompt.insert(b"hel") + echoed
            self.line.typed = typed
            printed += self.prompt.insert(b"lo") + self.prompt.insert(b"\n")
            self.assertEqual(screen(printed), ["hello", *screen(b"> " + echoed)])

    def test_entered(self) -> None:
        """Behind Enter there is no prompt any more, until the line is read."""
        self.prompt.show()
        self.line.isEntered = True
        self.assertEqual(self.prompt.insert(b"hello"), b"hello\n")

    def test_dumb(self) -> None:
        """Where nothing can be erased, a prompt comes back below a complete line only."""
        prompt = Prompt(self.line, erases=False)
        prompt.show()
        prompt.show()
        pieces = [prompt.insert(each) for each in (b"hello\n", b"on", b"e\n", b"tw")]
        self.assertEqual(pieces, [b"\nhello\n> ", b"\non", b"e\n> ", b"\ntw"])
        self.assertEqual((prompt.leave(), prompt.insert(b"o")), (b"", b"o"))

    def test_display(self) -> None:
        """The display below decides what is printed."""
        self.prompt.show()
        display = PromptedDisplay(ForTerminal(), self.prompt)
        self.assertIn(b"\\x07\n", display.feed(b"\x07\r"))
        self.assertIn(b"\\r\n", display.finish())

    def test_columns(self) -> None:
        for text, column in (
            (b"abc", 3),
            (b"a\tb", 9),
            ("é日".encode(), 3),
            ("e\u0301".encode(), 1),
        ):
            self.assertEqual(columnAfter(text), column)


class TerminalClientTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.printed: list[bytes] = []
        self.line = Line()
        prompt = Prompt(self.line)
        self.client = TerminalClient(Clock(), MemoryConsole(), 5.0, prompt, self.printed.append)
        self.peer = connected(self.client)

    def test_lines(self) -> None:
        """A prompt at once, and after each whole line; ^D half-closes below the prompt."""
        self.assertEqual(self.printed, [b"> "])
        self.client.inputReceived(b"h")
        self.assertEqual((self.peer.value(), self.printed), (b"h", [b"> "]))
        self.client.inputReceived(b"i\n")
        self.assertEqual((self.peer.value(), self.printed), (b"hi\n", [b"> "] * 2))
        self.client.inputEnded()
        self.assertEqual(self.printed, [b"> ", b"> ", b"\n"])
        self.assertTrue(self.peer.ended)
        self.peer.finish(b"bye")
        self.assertIs(outcome(self.client), Outcome.OK)

    def test_taken(self) -> None:
        """What was taken of a line before Enter is sent with the rest of it, or at ^D."""
        self.line.typed = b"half "
        self.client.inputReceived(b"a line\n")
        self.line.typed = b"rest"
        self.client.inputEnded()
        self.assertEqual(self.peer.value(), b"half a line\nrest")

    def test_serverCloses(self) -> None:
        """The session ends below the prompt: the user is not kept typing."""
        self.peer.finish()
        self.assertTrue(self.peer.ended)
        self.assertIs(outcome(self.client), Outcome.OK)
        self.assertEqual(self.printed, [b"> ", b"\n"])


class TerminalLineTests(SynchronousTestCase):
    """On a terminal of the kernel's."""

    def setUp(self) -> None:
        self.keys, self.descriptor = pty.openpty()
        self.addCleanup(os.close, self.keys)
        self.addCleanup(os.close, self.descriptor)
        self.line = TerminalLine(self.descriptor)
        self.patch(os, "tcgetpgrp", lambda descriptor: os.getpgrp())

    def type(self, keys: bytes, echo: bytes) -> None:
        """Press keys, and wait until the terminal shows them."""
        os.write(self.keys, keys)
        shown = b""
        while not shown.endswith(echo):
            shown += os.read(self.keys, 99)

    def test_take(self) -> None:
        """What is typed before Enter is read, and the mode stays."""
        modes = termios.tcgetattr(self.descriptor)
        self.type(b"oops\x7f\x7f\x7f\x7fhalf", b"half")
        self.assertFalse(self.line.entered())
        self.assertEqual(self.line.take(), b"half")
        self.type(b" rest", b"rest")
        self.assertEqual(self.line.take(), b"half rest")
        self.assertEqual(termios.tcgetattr(self.descriptor), modes)
        self.type(b".\n", b".\r\n")
        self.assertTrue(self.line.entered())
        self.assertEqual(self.line.complete(os.read(self.descriptor, 9)), b"half rest.\n")
        self.assertEqual((self.line.take(), self.line.complete(b"next\n")), (b"", b"next\n"))

    def test_gone(self) -> None:
        """A terminal that is gone, or that is none of the process's, has nothing typed."""
        line = TerminalLine(os.open(os.devnull, os.O_RDONLY))
        self.addCleanup(os.close, line._descriptor)
        self.assertFalse(line.entered())
        self.assertEqual(line.take(), b"")

    def test_background(self) -> None:
        """The terminal is left alone, which would stop the process."""
        self.patch(os, "tcgetpgrp", lambda descriptor: -1)
        self.type(b"half", b"half")
        self.assertEqual(self.line.take(), b"")
